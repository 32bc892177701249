"""Labelled clouds for training: rows of a split, augmented anew in every draw."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import Dataset

from datasets.labelled.labelled_clouds import LabelledClouds

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


class TrainingClouds(Dataset):
    """Draws from some rows of a split, in turn: every row is drawn as often as any other, or once less.

    Items: dict of points (N, 3), label () and `index`, the row in the split. What an item holds depends on the seed,
    the epoch and its number alone, whatever the number of workers.

    Args:
        clouds: the split.
        rows: (R,) indices into it.
        seed: of the run, >= 0.
        length: draws in an epoch; as many as rows: one of each.
        augment: scale, shift and reorder the points of each draw.
    """

    def __init__(
        self,
        clouds: LabelledClouds,
        rows: ArrayLike,
        *,
        seed: int,
        length: int,
        augment: bool = False,
    ):
        self.clouds, self.rows, self.seed, self.augment = clouds, np.asarray(rows), seed, augment
        self.length = length
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # seen by workers already running

    def set_epoch(self, epoch: int) -> None:
        """Choose the draws of this epoch (0, 1, ...); persistent workers see it too."""
        self._epoch.fill_(epoch)

    def files(self, index: int) -> str:
        """Where the cloud of a row of the split comes from, for messages."""
        return f"{self.clouds.shards[0].parent}: row {index} of its train split"

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict[str, Tensor | int]:
        epoch = int(self._epoch)
        row = int(self.rows[(epoch * self.length + number) % len(self.rows)])
        item = self.clouds[row]
        if self.augment:
            rng = np.random.default_rng((self.seed, epoch, number))
            points = rng.permutation(scale_and_shift(item["points"].numpy(), rng))
            item["points"] = torch.from_numpy(points)
        return {**item, "index": row}
