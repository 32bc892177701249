"""The published augmentation of part segmentation: clouds with part labels, their points reordered in each epoch."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.epoch_counter import EpochCounter
from datasets.parts.shapenet_part import ShapeNetPart


class ShuffledParts(EpochCounter, Dataset):
    """Items of a ShapeNetPart split, points and part labels permuted alike, with their `index`.

    Args:
        clouds: the split.
        seed: of the run, >= 0.
    """

    def __init__(self, clouds: ShapeNetPart, seed: int = 0):
        super().__init__(seed)
        self.clouds = clouds

    def files(self, index: int) -> str:
        """Name the shard and row of an item, for messages."""
        return self.clouds.files(index)

    def __len__(self) -> int:
        return len(self.clouds)

    def __getitem__(self, index: int) -> dict[str, Tensor | int]:
        item = self.clouds[index]
        order = torch.from_numpy(self.item_rng(index).permutation(len(item["points"])))  # (N,)
        shuffled = {"points": item["points"][order], "part_label": item["part_label"][order]}
        return {**shuffled, "category": item["category"], "index": index}
