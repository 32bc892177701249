"""Forward half of the fused edge convolution: one pass over the edges, one over the rows.

Counted in bytes of float32, the pass over the edges reads M * K * D * 4 of u, from the second-level cache where the
rows of a cloud stay while its programs run, and M * K * 8 of indices; all else is M * D. So a neighbour's row is read
once: for the maximum, its place, the sum, and both sums of the statistics.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.batch_norm import SLOPE
from models.kernels.tiles import block_of, count_blocks, load_normalisation, store_sums, tile_shape, wide, wide_tl


class EdgeForward(NamedTuple):
    """What `edge_forward` finds of e_ij = u_j + v_i.

    Attributes:
        largest: (M, D) max_j e_ij, in at least float32; or its activation.
        argmax: (M, D) uint8, place of that neighbour among the K, the first of equal ones; or None.
        edge_sum: (M, D) sum_j e_ij in u's type; or None. Not sum_j u_j: u and v largely cancel in it, which
            bfloat16 has to see.
        sums: (2, D) float64, sum of e and of e^2 over all edges, those of row i `weight[i]` times; or None.
    """

    largest: Tensor
    argmax: Tensor | None
    edge_sum: Tensor | None
    sums: Tensor | None


@triton.jit
def _edge_kernel(
    u, v, index, weight, largest, argmax, edge_sum, partial, num_rows, width, u_stride, v_stride, blocks,
    K: tl.constexpr, SLOPE: tl.constexpr, ACTIVATE: tl.constexpr, WITH_ARGMAX: tl.constexpr,
    WITH_SUMS: tl.constexpr, WEIGHTED: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    if WITH_SUMS:
        all_edges = tl.zeros((ROWS, COLUMNS), WIDE)
        all_squares = tl.zeros((ROWS, COLUMNS), WIDE)
    for step in range(STEPS):
        row = (block * STEPS + step) * ROWS + tl.arange(0, ROWS)
        in_rows = row < num_rows
        mask = in_rows[:, None] & in_columns[None, :]
        centre = tl.load(v + row[:, None] * v_stride + column[None, :], mask=mask, other=0).to(WIDE)
        best = tl.full((ROWS, COLUMNS), float("-inf"), WIDE)
        place = tl.zeros((ROWS, COLUMNS), tl.int32)
        total = tl.zeros((ROWS, COLUMNS), WIDE)
        square = tl.zeros((ROWS, COLUMNS), WIDE)
        for j in tl.range(K, loop_unroll_factor=4):  # several rows of u on their way at once
            neighbour = tl.load(index + row * K + j, mask=in_rows, other=0).to(tl.int64)
            value = tl.load(u + neighbour[:, None] * u_stride + column[None, :], mask=mask, other=0).to(WIDE)
            is_new = (value > best) | (value != value)  # NaN stays the maximum, as in torch
            best = tl.where(is_new, value, best)
            if WITH_ARGMAX:
                place = tl.where(is_new, j, place)
            if WITH_SUMS:
                edge = value + centre
                total += edge
                square += edge * edge
        out = row[:, None] * width + column[None, :]
        best += centre
        if ACTIVATE:
            best = tl.where(best > 0, best, best * SLOPE)
        tl.store(largest + out, best.to(largest.dtype.element_ty), mask=mask)
        if WITH_ARGMAX:
            tl.store(argmax + out, place.to(tl.uint8), mask=mask)
        if WITH_SUMS:
            tl.store(edge_sum + out, total.to(edge_sum.dtype.element_ty), mask=mask)
            if WEIGHTED:
                times = tl.load(weight + row, mask=in_rows, other=0).to(WIDE)[:, None]
                total *= times
                square *= times
            all_edges += total
            all_squares += square
    if WITH_SUMS:
        store_sums(partial, all_edges, all_squares, block, blocks, column, in_columns, width)


@triton.jit
def _activate_kernel(
    x, table, out, num_rows, width, SLOPE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    mean, gain, shift = load_normalisation(table, column, in_columns, width)
    for step in range(STEPS):
        row = (block * STEPS + step) * ROWS + tl.arange(0, ROWS)
        mask = (row < num_rows)[:, None] & in_columns[None, :]
        place = row[:, None] * width + column[None, :]
        z = (tl.load(x + place, mask=mask, other=0) - mean) * gain + shift
        tl.store(out + place, tl.where(z > 0, z, z * SLOPE).to(out.dtype.element_ty), mask=mask)


def edge_forward(
    u: Tensor,
    v: Tensor,
    index: Tensor,
    weight: Tensor | None = None,
    *,
    need_statistics: bool,
    with_argmax: bool,
    activated: torch.dtype | None = None,
) -> EdgeForward:
    """Maximum over each row's neighbours of u_j + v_i, and the sums that BatchNorm's statistics need.

    The sums are taken around 0 in blocks of u's accumulation type, then in float64: u and v come from a centred x.

    Args:
        u, v: (M, D); rows may be strided, channels may not.
        index: (M, K) integers, rows of u, contiguous, K <= 256.
        weight: (M,) equal points each row stands for.
        need_statistics: fill edge_sum and sums.
        with_argmax: fill argmax.
        activated: store LeakyReLU of the maximum, in this type, in place of the maximum.
    """
    (num_rows, width), k = u.shape, index.shape[1]
    shape = tile_shape(width, u.dtype)
    blocks, programs = count_blocks(num_rows, width, shape)
    largest = u.new_empty(num_rows, width, dtype=activated or wide(u.dtype))
    argmax = u.new_empty(num_rows, width, dtype=torch.uint8) if with_argmax else None
    edge_sum = u.new_empty(num_rows, width) if need_statistics else None
    partial = u.new_empty(2, blocks, width, dtype=wide(u.dtype)) if need_statistics else None
    with torch.cuda.device_of(u):
        _edge_kernel[(programs,)](
            u, v, index, weight, largest, argmax, edge_sum, partial, num_rows, width, u.stride(0), v.stride(0), blocks,
            K=k, SLOPE=SLOPE, ACTIVATE=activated is not None, WITH_ARGMAX=with_argmax,
            WITH_SUMS=need_statistics, WEIGHTED=weight is not None, WIDE=wide_tl(u.dtype), **shape,
        )  # fmt: skip
    sums = partial.sum(dim=1, dtype=torch.float64) if need_statistics else None
    return EdgeForward(largest, argmax, edge_sum, sums)


def activate(x: Tensor, table: Tensor, dtype: torch.dtype) -> Tensor:
    """LeakyReLU((x - mean) * gain + shift) in type `dtype`; `table` is `tiles.normalisation`. Shape: (M, D)."""
    num_rows, width = x.shape
    shape = tile_shape(width, dtype)
    out = x.new_empty(num_rows, width, dtype=dtype)
    _, programs = count_blocks(num_rows, width, shape)
    with torch.cuda.device_of(x):
        _activate_kernel[(programs,)](x, table, out, num_rows, width, SLOPE=SLOPE, **shape)
    return out
