"""Sparse convolution as it is usually written: for each offset gather, multiply, scatter; autograd does the rest."""

import torch
from torch import Tensor

from models.sparse.kernel_map import cube_offsets
from models.sparse.voxel_keys import step
from models.sparse.voxel_level import VoxelLevel

Pairs = list[tuple[Tensor, Tensor]]


def pairs_of(level: VoxelLevel, size: int) -> Pairs:
    """Return the input and the output rows that each offset joins."""
    found = [level.find(level.keys + step(*offset)) for offset in cube_offsets(size)]
    return [(rows[rows < len(level)], (rows < len(level)).nonzero()[:, 0]) for rows in found]


def gather_scatter(x: Tensor, kernel: Tensor, pairs: Pairs) -> Tensor:
    """Convolve rows of voxels. Shape: x (M, C), kernel (K, C, D) -> (M, D)."""
    out = x.new_zeros(len(x), kernel.shape[2])
    for weight, (inputs, outputs) in zip(kernel, pairs, strict=True):
        out.index_add_(0, outputs, torch.index_select(x, 0, inputs) @ weight)
    return out
