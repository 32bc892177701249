"""Which input voxels a convolution reads for each output voxel, arranged for few, large matrix products.

Surfaces make few patterns of neighbours: in a plane of a kernel, nine offsets, most voxels have one of a hundred. So
for each nine offsets the outputs are sorted by their pattern and cut into blocks. A block gathers the neighbours of its
rows, which is one matrix product, and adds the result to its rows once. A frequent pattern has blocks of its own; rare
ones share some, where absent neighbours read a row of zeros: on rooms a tenth of the work.

Letters: M outputs, K offsets of a kernel, R rows and S offsets of a block.
"""

from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor

ROWS = {"cpu": 1024}  # of a block; measured: fewer cost calls, more cost cache
_ROWS_ELSEWHERE = 4096  # few launches
_FREQUENT = 0.125  # of ROWS
_CHUNK = 9  # offsets that are arranged together


class Block(NamedTuple):
    """Outputs that read inputs at the same offsets.

    `rows` (R,) distinct outputs; `offsets` (S,); `index` (R, S) int32 input rows, their number where there is none.
    """

    rows: Tensor
    offsets: Tensor
    index: Tensor


class KernelMap(NamedTuple):
    """The blocks of a convolution with `num_out` outputs."""

    num_out: int
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
        table: (M, K) input rows, `num_in` where there is none.
    """
    blocks = []
    for first in range(0, table.shape[1], _CHUNK):
        blocks += _blocks(table[:, first : first + _CHUNK].int(), first, num_in)
    return KernelMap(len(table), blocks)


def _blocks(table: Tensor, first: int, num_in: int) -> Iterator[Block]:
    """Yield the blocks of the offsets from `first` on: one frequent pattern after the other, then the rare ones."""
    is_met = table < num_in
    bits = 2 ** torch.arange(is_met.shape[1], device=table.device)
    pattern, order = (is_met * bits).sum(dim=1).sort(stable=True)
    sizes = pattern.bincount(minlength=1)
    most = ROWS.get(table.device.type, _ROWS_ELSEWHERE)
    is_rare = sizes < _FREQUENT * most
    is_rare[0] = False  # those without any neighbour here are left out
    frequent, rare = order[~is_rare[pattern]], order[is_rare[pattern]]
    sizes = sizes[~is_rare].tolist()
    ends = torch.tensor(sizes).cumsum(0).tolist()
    spans = [(frequent, start, stop) for start, stop in pairwise(ends) if start < stop]
    spans += [(rare, start, min(start + most, len(rare))) for start in range(0, len(rare), most)]
    for source, start, stop in spans:
        rows = source[start:stop]
        offsets = is_met[rows].any(dim=0).nonzero()[:, 0]  # (S,)
        index = table[rows].index_select(1, offsets)
        offsets += first
        for rows_of_block, index_of_block in zip(rows.split(most), index.split(most)):
            yield Block(rows_of_block, offsets, index_of_block)
