"""Which input voxels a convolution reads for each output voxel, arranged for few, large matrix products.

Surfaces make few patterns of neighbours: on a flat wall all voxels have the same nine. Output rows are sorted by their
pattern and cut into blocks; a block gathers the neighbours of its rows at the offsets that any of them has, and is one
product. A pattern of many rows has blocks of its own, the rare ones share some, where absent neighbours read a row of
zeros: on rooms that adds a sixth to the work and saves scattering, so that each output row is written once.

Letters: M rows of outputs, K offsets of a kernel, S offsets of a block.
"""

from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor

ROWS = {"cpu": 256}  # of a block: its gathered rows stay in the processor's cache
_ROWS_ELSEWHERE = 4096  # few launches
_WORD = 62  # bits


class Block(NamedTuple):
    """Rows `start` to `stop` of the sorted outputs.

    `offsets` (S,) are those it reads; `index` (stop - start, S) int32 holds input rows, their number where none is.
    """

    start: int
    stop: int
    offsets: Tensor
    index: Tensor


class KernelMap(NamedTuple):
    """Outputs in sorted order: row i of them is output `order[i]`, and output j is row `place[j]`. Shape: two (M,)."""

    order: Tensor
    place: Tensor
    blocks: list[Block]


class MapPair(NamedTuple):
    """The map of a convolution, and the one by which gradients go back from outputs to inputs.

    `is_mirrored`: at offset k the second reads what the first does at K - 1 - k; else at k.
    """

    forward: KernelMap
    back: KernelMap
    is_mirrored: bool


def cube_offsets(size: int) -> list[tuple[int, int, int]]:
    """Return the offsets (dx, dy, dz) of a kernel, x running fastest: centred for odd sizes, else from 0 on.

    This is the order of MinkowskiEngine since 0.3.2, read in its source: Region and kernel_region iterate over the
    first axis first, from the lower bound, which is the voxel itself for even sizes.
    """
    low = -(size // 2) if size % 2 else 0
    return [(x, y, z) for z, y, x in product(range(low, low + size), repeat=3)]


def build_map(table: Tensor, num_in: int) -> KernelMap:
    """Arrange a table of neighbours.

    Args:
        table: (M, K) input rows, `num_in` where there is none; every row has one at least.
    """
    is_met = table < num_in
    order, sizes = _sorted_by_pattern(is_met)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    table = table.int()
    blocks = []
    for bounds in _bounds(sizes, ROWS.get(table.device.type, _ROWS_ELSEWHERE)):
        rows = order[bounds[0] : bounds[-1]]
        offsets = is_met[rows].any(dim=0).nonzero()[:, 0]  # (S,)
        index = table[rows].index_select(1, offsets)
        for start, stop in pairwise(bounds):
            blocks.append(Block(start, stop, offsets, index[start - bounds[0] : stop - bounds[0]]))
    return KernelMap(order, place, blocks)


def _sorted_by_pattern(is_met: Tensor) -> tuple[Tensor, Tensor]:
    """Return the order of rows by their pattern, frequent ones first, and how many rows each pattern has."""
    weights = 2 ** torch.arange(_WORD, device=is_met.device)
    words = [(part * weights[: part.shape[1]]).sum(dim=1) for part in is_met.split(_WORD, dim=1)]
    order = torch.arange(len(is_met), device=is_met.device)
    for word in words:
        order = order[word[order].argsort(stable=True)]
    is_new = torch.stack([word[order].diff() != 0 for word in words]).any(dim=0)
    group = torch.cat([is_new.new_zeros(1), is_new]).cumsum(0)
    sizes = group.bincount()
    is_rare = sizes < ROWS.get(is_met.device.type, _ROWS_ELSEWHERE) // 2
    rows_of_rare = is_rare[group]
    return torch.cat([order[~rows_of_rare], order[rows_of_rare]]), torch.cat([sizes[~is_rare], sizes[is_rare]])


def _bounds(sizes: Tensor, rows: int) -> Iterator[list[int]]:
    """Yield the bounds of blocks that read the same offsets: those of one frequent pattern, or one of rare ones."""
    start = 0
    sizes = sizes.tolist()
    frequent = [size for size in sizes if size >= rows // 2]
    for size in frequent:
        yield [*range(start, start + size, rows), start + size]
        start += size
    end = sum(sizes)
    for first in range(start, end, rows):
        yield [first, min(first + rows, end)]
