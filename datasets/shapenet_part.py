"""ShapeNetPart: clouds of 16 categories with a part label for every point."""

from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.hdf5 import find_shards, open_shard, read_labels, read_part_labels, read_points
from datasets.labels import SHAPENET_PART
from datasets.layouts import fix, shapenet_part_folders

# trainval is what the published fine-tuning trains on
SPLITS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}


class ShapeNetPart(Dataset):
    """Published set: 12137 train, 1870 val, 2874 test clouds of 2048 points, 16 categories, 50 parts.

    Attributes:
        points: (M, N, 3) float32, the first N points of each cloud in file order.
        categories: (M,) int64 in [0, 16).
        part_labels: (M, N) int64 in [0, 50), each inside its category's range.
        shards: the files read, in order.
    Items: dict of points (N, 3), category () and part_label (N,).
    """

    def __init__(self, root: str | Path, split: str, *, num_points: int = 2048) -> None:
        """
        Args:
            root: the folder with the shards or its parent; a `hdf5_data` folder in between is accepted.
            split: train, val, trainval or test.
            num_points: the first so many points of each cloud are read, in file order.
        Raises:
            FileNotFoundError: no shard of this split below root.
            ValueError: unknown split, or a shard at fault; the message names it.
        """
        if split not in SPLITS:
            raise ValueError(f"ShapeNetPart has the splits {', '.join(SPLITS)}, got {split!r}")
        self.shards = [path for part in SPLITS[split] for path in _find(Path(root), part)]
        columns: dict[str, list[np.ndarray]] = {"points": [], "categories": [], "part_labels": []}
        for path in self.shards:
            with open_shard(path, ("data", "label", "pid")) as file:
                points, categories, part_labels = _read(file, path, num_points)
            columns["points"].append(points)
            columns["categories"].append(categories)
            columns["part_labels"].append(part_labels)
        self._rows = [len(categories) for categories in columns["categories"]]
        self.points = torch.from_numpy(np.concatenate(columns["points"]))
        self.categories = torch.from_numpy(np.concatenate(columns["categories"]))
        self.part_labels = torch.from_numpy(np.concatenate(columns["part_labels"]))

    def files(self, index: int) -> str:
        """The shard and row of one item, for messages."""
        shard = int(np.searchsorted(np.cumsum(self._rows), index, side="right"))
        return f"{self.shards[shard]} row {index - sum(self._rows[:shard])}"

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "points": self.points[index],
            "category": self.categories[index],
            "part_label": self.part_labels[index],
        }


def _find(root: Path, part: str) -> list[Path]:
    what = f"ShapeNetPart {part} shards"
    return find_shards(shapenet_part_folders(root), [f"ply_data_{part}*.h5"], what=what, fix=fix("shapenet_part"))


def _read(file: h5py.File, path: Path, num_points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (M, N, 3), categories (M,) and part labels (M, N) of one open shard."""
    points = read_points(file, path, num_points)
    categories = read_labels(file, path, "label", len(SHAPENET_PART), fix="make or download it again")
    return points, categories, read_part_labels(file, path, categories)[:, :num_points]
