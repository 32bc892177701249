"""BatchNorm + LeakyReLU of a (B, N, E) projection, then its maximum and mean over the points of each cloud.

The projection is read twice forward (statistics, pooling) and once backward, and nothing else of its size is written
but its gradient: sum over points of act'(z) and of act'(z) (y - mean), two (B, E) tables, give the mean of the
activated values forward and the gradients of scale and shift backward.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.batch_norm import SLOPE
from models.kernels.tiles import block_of, count_blocks, load_normalisation, store_sums, tile_shape, wide, wide_tl

COLUMNS = 64  # narrow tiles: one program for each cloud and column block has to fill the device


class Pooled(NamedTuple):
    """What `pool_rows` finds in each cloud, all (B, E).

    Attributes:
        extreme: the y whose activation is largest.
        place: int32, its point.
        slopes, moments: sums over points of act'(z), and of act'(z) (y - mean).
    """

    extreme: Tensor
    place: Tensor
    slopes: Tensor
    moments: Tensor


@triton.jit
def _column_sums_kernel(
    x, origin, partial, num_rows, width, blocks, WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    centre = tl.load(origin + column, mask=in_columns, other=0).to(WIDE)[None, :]
    total = tl.zeros((ROWS, COLUMNS), WIDE)
    square = tl.zeros((ROWS, COLUMNS), WIDE)
    for step in range(STEPS):
        row = (block * STEPS + step) * ROWS + tl.arange(0, ROWS)
        mask = (row < num_rows)[:, None] & in_columns[None, :]
        value = tl.load(x + row[:, None] * width + column[None, :], mask=mask, other=0).to(WIDE)
        value = tl.where(mask, value - centre, 0)
        total += value
        square += value * value
    store_sums(partial, total, square, block, blocks, column, in_columns, width)


@triton.jit
def _pool_kernel(
    y, table, extreme, place, slopes, moments, num_points, width, SLOPE: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    cloud, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    mean, gain, shift = load_normalisation(table, column, in_columns, width)
    sign = tl.where(gain < 0, -1, 1).to(WIDE)
    best = tl.full((ROWS, COLUMNS), float("-inf"), WIDE)
    best_point = tl.zeros((ROWS, COLUMNS), tl.int32)
    slope_sum = tl.zeros((ROWS, COLUMNS), WIDE)
    moment_sum = tl.zeros((ROWS, COLUMNS), WIDE)
    for first in tl.range(0, num_points, ROWS, loop_unroll_factor=4):
        point = first + tl.arange(0, ROWS)
        mask = (point < num_points)[:, None] & in_columns[None, :]
        row = cloud * num_points + point
        value = tl.load(y + row[:, None] * width + column[None, :], mask=mask, other=0).to(WIDE)
        centred = tl.where(mask, value - mean, 0)
        one = mask.to(WIDE)  # a literal would be float32
        slope = tl.where(centred * gain + shift > 0, one, one * SLOPE)
        slope_sum += slope
        moment_sum += slope * centred
        is_new = mask & (value * sign > best)
        best = tl.where(is_new, value * sign, best)
        best_point = tl.where(is_new, point[:, None], best_point)
    largest, winner = tl.max(best, axis=0, return_indices=True)
    is_winner = tl.arange(0, ROWS)[:, None] == winner[None, :]
    out = cloud * width + column
    tl.store(extreme + out, largest * tl.sum(sign, axis=0), mask=in_columns)
    tl.store(place + out, tl.sum(tl.where(is_winner, best_point, 0), axis=0), mask=in_columns)
    tl.store(slopes + out, tl.sum(slope_sum, axis=0), mask=in_columns)
    tl.store(moments + out, tl.sum(moment_sum, axis=0), mask=in_columns)


@triton.jit
def _pool_gradient_kernel(
    y, table, of_all, of_largest, place, base, q, grad_y, num_points, width, blocks, SLOPE: tl.constexpr,
    WITH_SUMS: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    cloud = block // blocks
    mean, gain, shift = load_normalisation(table, column, in_columns, width)
    entry = cloud * width + column
    every = tl.load(of_all + entry, mask=in_columns, other=0)[None, :]
    once = tl.load(of_largest + entry, mask=in_columns, other=0)[None, :]
    winner = tl.load(place + entry, mask=in_columns, other=0)[None, :]
    if WITH_SUMS:
        constant = tl.load(base + column, mask=in_columns, other=0)[None, :]
        factor = tl.load(q + column, mask=in_columns, other=0)[None, :]
    for step in range(STEPS):
        point = ((block % blocks) * STEPS + step) * ROWS + tl.arange(0, ROWS)
        mask = (point < num_points)[:, None] & in_columns[None, :]
        offset = (cloud * num_points + point)[:, None] * width + column[None, :]
        centred = tl.load(y + offset, mask=mask, other=0).to(WIDE) - mean
        value = every + tl.where(point[:, None] == winner, once, 0)
        value = tl.where(centred * gain + shift > 0, value, value * SLOPE) * gain
        if WITH_SUMS:
            value -= constant + factor * centred
        tl.store(grad_y + offset, value.to(grad_y.dtype.element_ty), mask=mask)


def column_sums(x: Tensor, origin: Tensor) -> Tensor:
    """Sums over rows of x - origin and of its square, in float64. Shape: (M, D), (D,) -> (2, D)."""
    num_rows, width = x.shape
    shape = tile_shape(width, x.dtype)
    blocks, programs = count_blocks(num_rows, width, shape)
    partial = x.new_empty(2, blocks, width, dtype=wide(x.dtype))
    with torch.cuda.device_of(x):
        _column_sums_kernel[(programs,)](
            x, origin, partial, num_rows, width, blocks, WIDE=wide_tl(x.dtype), **shape
        )  # fmt: skip
    return partial.sum(dim=1, dtype=torch.float64)


def pool_rows(y: Tensor, table: Tensor) -> Pooled:
    """Extremes and sums of each cloud. Shape: (B, N, E), contiguous, and `tiles.normalisation` (3, E)."""
    num_clouds, num_points, width = y.shape
    shape = tile_shape(width, y.dtype, max_columns=COLUMNS)
    del shape["STEPS"]  # all points of a cloud
    entries = {"dtype": wide(y.dtype), "device": y.device}
    found = Pooled(
        torch.empty(num_clouds, width, **entries),
        torch.empty(num_clouds, width, dtype=torch.int32, device=y.device),
        torch.empty(num_clouds, width, **entries),
        torch.empty(num_clouds, width, **entries),
    )
    with torch.cuda.device_of(y):
        _pool_kernel[(num_clouds * triton.cdiv(width, shape["COLUMNS"]),)](
            y, table, *found, num_points, width, SLOPE=SLOPE, WIDE=wide_tl(y.dtype), **shape
        )
    return found


def pool_gradient(
    y: Tensor, table: Tensor, of_all: Tensor, of_largest: Tensor, place: Tensor, through: Tensor | None
) -> Tensor:
    """Gradient of y, in its type. Shape: (B, N, E) -> (B, N, E).

    Args:
        y, table: as given to `pool_rows`; place: as it returned it.
        of_all, of_largest: (B, E) what every activated value, and the largest one, receives.
        through: (2, E) float64, r0 and q: every y receives -(r0 + q (y - mean)) through the batch statistics; None
            if they were given.
    """
    num_clouds, num_points, width = y.shape
    shape = tile_shape(width, y.dtype)
    blocks, programs = count_blocks(num_points, width, shape)
    base, q = (None, None) if through is None else through.to(table.dtype).contiguous()
    grad_y = torch.empty_like(y)
    with torch.cuda.device_of(y):
        _pool_gradient_kernel[(num_clouds * programs,)](
            y, table, of_all, of_largest, place, base, q, grad_y, num_points, width, blocks,
            SLOPE=SLOPE, WITH_SUMS=through is not None, WIDE=wide_tl(y.dtype), **shape,
        )  # fmt: skip
    return grad_y
