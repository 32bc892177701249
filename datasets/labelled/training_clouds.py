"""Labelled clouds for training a classifier: chosen rows of a split, augmented anew in every draw."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import Dataset

from datasets.epoch_counter import EpochCounter
from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.transforms.point_transforms import jitter, rotate_y

MAX_SCALE, MAX_SHIFT = 1.5, 0.2  # DGCNN's published training


def scale_and_shift(
    points: np.ndarray, rng: np.random.Generator, max_scale: float = MAX_SCALE, max_shift: float = MAX_SHIFT
) -> np.ndarray:
    """Multiply each axis by its own factor from U(1 / max_scale, max_scale), then move it by U(-max_shift, max_shift).

    Shape: (N, 3) -> (N, 3), a new float32 array; shifts are in the unit of the points.

    Source: the training of DGCNN (Wang et al. 2019, arXiv:1801.07829), with the defaults.
    """
    factor = rng.uniform(1 / max_scale, max_scale, size=3)
    return (points * factor + rng.uniform(-max_shift, max_shift, size=3)).astype(np.float32)


def scale_shift(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment as in the training of DGCNN: `scale_and_shift`, then reorder the points. Shape: (N, 3) -> (N, 3)."""
    return rng.permutation(scale_and_shift(points, rng))


def rotate_jitter(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn about y by any angle, then add noise of 0.01, at most 0.05, to each coordinate. Shape: (N, 3) -> (N, 3).

    Source: the training of PointNet (Qi et al. 2017, arXiv:1612.00593).
    """
    return jitter(rotate_y(points, rng), rng)


AUGMENTATIONS = {"scale_shift": scale_shift, "rotate_jitter": rotate_jitter}


class TrainingClouds(EpochCounter, Dataset):
    """Cycles through some rows of a split, so that the numbers of draws of any two rows differ by one at most.

    Items: dict of points (N, 3), label () and `index`, the row in the split.

    Args:
        clouds: the split.
        rows: (R,) indices into it.
        seed: of the run, >= 0.
        length: draws in an epoch; R draws each row once.
        augment: change each draw by AUGMENTATIONS[kind].
    """

    def __init__(
        self,
        clouds: LabelledClouds,
        rows: ArrayLike,
        *,
        seed: int,
        length: int,
        augment: bool = False,
        kind: str = "scale_shift",
    ):
        super().__init__(seed)
        self.clouds, self.rows, self.length, self.augment = clouds, np.asarray(rows), length, augment
        self.kind = kind

    def files(self, index: int) -> str:
        """Name the source of a row of the split, for messages."""
        return f"{self.clouds.shards[0].parent}: row {index} of its train split"

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict[str, Tensor | int]:
        row = int(self.rows[(self.epoch * self.length + number) % len(self.rows)])
        item = self.clouds[row]
        if self.augment:
            points = AUGMENTATIONS[self.kind](item["points"].numpy(), self.item_rng(number))
            item["points"] = torch.from_numpy(points)
        return {**item, "index": row}
