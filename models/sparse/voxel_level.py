"""The voxels of a batch at one size, and the kernel maps between them, each made once and kept.

Letters: M voxels, B clouds.
"""

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from models.rows import CloudRows
from models.sparse.kernel_map import MapPair, build_map, cube_offsets
from models.sparse.voxel_keys import pack, parents, step, unpack


class Coarser(NamedTuple):
    """Voxels of twice the size, the map of a convolution of 2^3 and stride 2 to them, and that of its transpose."""

    level: "VoxelLevel"
    down: MapPair
    up: MapPair


class VoxelLevel:
    """Distinct voxels, sorted by cloud, x, y and z.

    Attributes:
        keys: (M,) int64, increasing.
        clouds: the rows of each of the B clouds.
    """

    def __init__(self, keys: Tensor, clouds: CloudRows):
        self.keys, self.clouds = keys, clouds
        self._neighbours: dict[int, MapPair] = {}

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def coordinates(self) -> Tensor:
        """Return batch, x, y and z of every row, counted in voxels of this size. Shape: (M, 4) int64."""
        return unpack(self.keys)

    def find(self, keys: Tensor) -> Tensor:
        """Return the row of each key, M where no voxel has it. Shape: any -> the same."""
        row = torch.searchsorted(self.keys, keys).clamp_max_(len(self) - 1)
        return torch.where(self.keys[row] == keys, row, len(self))

    def neighbours(self, size: int) -> MapPair:
        """Return the map of a convolution of size^3 and stride 1.

        Raises:
            ValueError: the size is even, or above 9.
        """
        if size not in (3, 5, 7, 9):
            raise ValueError(f"a kernel of size {size}, expected 3, 5, 7 or 9")
        if size not in self._neighbours:
            offsets = cube_offsets(size)
            rows = torch.arange(len(self), device=self.keys.device)
            table = torch.full((len(self), len(offsets)), len(self), device=rows.device)
            middle = len(offsets) // 2
            table[:, middle] = rows
            for k, offset in enumerate(offsets[:middle]):  # whoever has a neighbour at one side is at its other
                found = self.find(self.keys + step(*offset))
                table[:, k] = found
                is_met = found < len(self)
                table[found[is_met], -1 - k] = rows[is_met]
            made = build_map(table, len(self))
            self._neighbours[size] = MapPair(made, made, is_mirrored=True)
        return self._neighbours[size]

    @cached_property
    def coarser(self) -> Coarser:
        """Return the voxels of twice the size that hold any, with the maps to and from them."""
        parent, place = parents(self.keys)
        keys, parent_row = parent.unique(return_inverse=True)
        rows = torch.arange(len(self), device=keys.device)
        children = torch.full((len(keys), 8), len(self), device=keys.device)
        children[parent_row, place] = rows
        holders = torch.full((len(self), 8), len(keys), device=keys.device)
        holders[rows, place] = parent_row
        down, up = build_map(children, len(self)), build_map(holders, len(keys))
        level = VoxelLevel(keys, CloudRows(_lengths(keys)))
        return Coarser(level, MapPair(down, up, is_mirrored=False), MapPair(up, down, is_mirrored=False))


def make_level(coordinates: Tensor) -> tuple[VoxelLevel, Tensor]:
    """Sort voxels. Returns them and the order, such that `coordinates[order]` are theirs.

    Args:
        coordinates: (M, 4) integers as `pack` takes them: batch, x, y, z.
    Raises:
        ValueError: out of range, a voxel given twice, or a cloud without a voxel.
    """
    keys, order = pack(coordinates).sort()
    is_repeated = keys.diff() == 0
    if is_repeated.any():
        first = coordinates[order[int(is_repeated.nonzero()[0])]].tolist()
        raise ValueError(
            f"{int(is_repeated.sum())} of {len(keys)} voxels are given twice, first (batch, x, y, z) = {first}: merge "
            "the points of a voxel, as models.sparse.voxelise does"
        )
    lengths = _lengths(keys)
    if 0 in lengths:
        raise ValueError(f"cloud {lengths.index(0)} of the {len(lengths)} of this batch has no voxel")
    return VoxelLevel(keys, CloudRows(lengths)), order


def _lengths(keys: Tensor) -> list[int]:
    return unpack(keys)[:, 0].bincount().tolist()
