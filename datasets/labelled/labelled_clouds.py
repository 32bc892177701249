"""Base of the classification sets: clouds in memory with one label each."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.labelled.hdf5_clouds import open_shard, read_labels, read_points
from datasets.layouts import CLASS_NAMES
from datasets.transforms.point_transforms import unit_sphere


class LabelledClouds(Dataset):
    """Clouds with one class label each, held in memory.

    Attributes:
        points: (M, N, 3) float32, the first N points of each cloud in file order.
        labels: (M,) int64 in [0, Y).
        class_names: Y names.
        shards: the files read, in order.
    Items: dict of points (N, 3) and label ().
    """

    points: Tensor
    labels: Tensor

    def __init__(self, shards: list[Path], class_names: tuple[str, ...], *, num_points: int, normalize: bool) -> None:
        """Read every shard; `normalize` brings each cloud to the unit sphere after the cut to N points."""
        fix = f"correct it, or list every class in {CLASS_NAMES} in {shards[0].parent}"
        points, labels = [], []
        for path in shards:
            with open_shard(path, ("data", "label")) as file:
                clouds = read_points(file, path, num_points)
                labels.append(read_labels(file, path, "label", len(class_names), fix=fix))
            points.append(_to_unit_sphere(clouds, path) if normalize else clouds.astype(np.float32))
        self.points = torch.from_numpy(np.concatenate(points))
        self.labels = torch.from_numpy(np.concatenate(labels))
        self.class_names = class_names
        self.shards = shards

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"points": self.points[index], "label": self.labels[index]}


def _to_unit_sphere(clouds: np.ndarray, path: Path) -> np.ndarray:
    try:
        return unit_sphere(clouds)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; make it again or read it with normalize=False") from error
