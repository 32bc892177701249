"""Clouds with part labels, their points in a new order each epoch: the published augmentation of part segmentation."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.parts.shapenet_part import ShapeNetPart


class ShuffledParts(Dataset):
    """Items of a ShapeNetPart split with points and part labels permuted alike, and `index`.

    The order comes from a generator seeded with (seed, epoch, index), whatever the number of workers.

    Args:
        clouds: the split.
        seed: of the run, >= 0.
    """

    def __init__(self, clouds: ShapeNetPart, seed: int = 0):
        self.clouds = clouds
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # seen by workers already running

    def set_epoch(self, epoch: int) -> None:
        """Choose the orders of this epoch (0, 1, ...); persistent workers see it too."""
        self._epoch.fill_(epoch)

    def files(self, index: int) -> str:
        """The shard and row of one item, for messages."""
        return self.clouds.files(index)

    def __len__(self) -> int:
        return len(self.clouds)

    def __getitem__(self, index: int) -> dict[str, Tensor | int]:
        item = self.clouds[index]
        rng = np.random.default_rng((self.seed, int(self._epoch), index))
        order = torch.from_numpy(rng.permutation(len(item["points"])))  # (N,)
        shuffled = {"points": item["points"][order], "part_label": item["part_label"][order]}
        return {**shuffled, "category": item["category"], "index": index}
