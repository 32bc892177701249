"""ShapeNetPart: clouds of 16 categories with a part label for every point, and other sets in its layout."""

import copy
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import Dataset

from datasets.labelled.hdf5_clouds import find_shards, open_shard, read_labels, read_part_labels, read_points
from datasets.labels import SHAPENET_PART
from datasets.layouts import fix, shapenet_part_folders
from datasets.parts.part_table import PartTable
from datasets.precision import to_float32

# the published fine-tuning trains on trainval
SPLITS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}


class ShapeNetPart(Dataset):
    """Published set: 12137 train, 1870 val, 2874 test clouds of 2048 points, 16 categories, 50 parts.

    Attributes:
        points: (M, N, 3) float32, the first N points of each cloud in file order.
        categories: (M,) int64, indices of `table`.
        part_labels: (M, N) int64, each inside its category's range.
        table: categories and their parts.
        shards: the files read, in order.
    Items: dict of points (N, 3), category () and part_label (N,).
    """

    def __init__(
        self, root: str | Path, split: str, *, num_points: int = 2048, table: PartTable = SHAPENET_PART
    ) -> None:
        """
        Args:
            root: the folder with the shards or its parent; a `hdf5_data` folder in between is accepted.
            split: train, val, trainval or test.
            num_points: number of points to read from the start of each cloud.
            table: categories and parts that the labels in the shards index, see datasets.parts.part_table.
        Raises:
            FileNotFoundError: no shard of this split below root.
            ValueError: unknown split, or an invalid shard.
        """
        if split not in SPLITS:
            raise ValueError(f"ShapeNetPart has the splits {', '.join(SPLITS)}, got {split!r}")
        self.table = table
        self.shards = [path for part in SPLITS[split] for path in _find(Path(root), part)]
        columns: dict[str, list[np.ndarray]] = {"points": [], "categories": [], "part_labels": []}
        for path in self.shards:
            with open_shard(path, ("data", "label", "pid")) as file:
                points, categories, part_labels = _read(file, path, num_points, table)
            columns["points"].append(points)
            columns["categories"].append(categories)
            columns["part_labels"].append(part_labels)
        lengths = [len(categories) for categories in columns["categories"]]
        self._origin = [(shard, row) for shard, length in zip(self.shards, lengths) for row in range(length)]
        self.points = torch.from_numpy(np.concatenate(columns["points"]))
        self.categories = torch.from_numpy(np.concatenate(columns["categories"]))
        self.part_labels = torch.from_numpy(np.concatenate(columns["part_labels"]))

    def files(self, index: int) -> str:
        """Name the shard and row of an item, for messages."""
        shard, row = self._origin[index]
        return f"{shard} row {row}"

    def subset(self, rows: ArrayLike) -> "ShapeNetPart":
        """Select the clouds at these indices, in this order."""
        rows = torch.as_tensor(rows)
        part = copy.copy(self)
        part.points, part.part_labels = self.points[rows], self.part_labels[rows]
        part.categories = self.categories[rows]
        part._origin = [self._origin[row] for row in rows.tolist()]
        return part

    def of_category(self, index: int) -> "ShapeNetPart":
        """Select the clouds of category `table[index]`, keeping their labels.

        Raises:
            ValueError: there is none.
        """
        rows = (self.categories == index).nonzero()[:, 0]
        if not len(rows):
            raise ValueError(f"{self.shards[0].parent} has no {self.table[index].name} in {self.shards[0].name}")
        return self.subset(rows)

    def alone(self, index: int) -> "ShapeNetPart":
        """Select the clouds of one category and relabel them: it becomes category 0 and its parts start at 0."""
        part = self.of_category(index)
        category = self.table[index]
        part.table = (category._replace(first_part=0),)
        part.categories = torch.zeros_like(part.categories)
        part.part_labels = part.part_labels - category.first_part
        return part

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


def _read(file: h5py.File, path: Path, num_points: int, table: PartTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read points (M, N, 3), categories (M,) and part labels (M, N) of one open shard."""
    points = to_float32(read_points(file, path, num_points))
    advice = "make or download it again" if table is SHAPENET_PART else "correct it or the file of --parts"
    categories = read_labels(file, path, "label", len(table), fix=advice)
    return points, categories, read_part_labels(file, path, categories, table, fix=advice)[:, :num_points]
