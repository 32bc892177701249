"""BatchNorm statistics of rows; and BatchNorm, LeakyReLU, maximum and mean of a (B, N, E) projection over its points.

The projection is read twice forward (statistics, pooling) and once backward, and its gradient is the only tensor of its
size that is written. Two (B, E) tables, the sums over points of act'(z) and of act'(z) (y - mean), yield the mean of
the activated values forward and the gradients of scale and shift backward.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.affine import SLOPE, Affine
from models.kernels.tiles import block_of, count_blocks, launch_on, tile_shape, wide, wide_tl

POOL_COLUMNS = 64  # narrow tiles: one program for each cloud and column block has to fill the device


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
    tl.store(partial + block * width + column, tl.sum(total, axis=0), mask=in_columns)
    tl.store(partial + (blocks + block) * width + column, tl.sum(square, axis=0), mask=in_columns)


@torch.compiler.disable
def column_sums(x: Tensor, origin: Tensor) -> Tensor:
    """Sum x - origin and its square over the rows, in float64. Shape: (M, D), (D,) -> (2, D)."""
    x, (num_rows, width) = x.contiguous(), x.shape
    shape = tile_shape(width, x.dtype)
    blocks, programs = count_blocks(num_rows, width, shape)
    partial = x.new_empty(2, blocks, width, dtype=wide(x.dtype))
    with launch_on(x):
        _column_sums_kernel[(programs,)](
            x, origin.contiguous(), partial, num_rows, width, blocks, WIDE=wide_tl(x.dtype), **shape
        )
    return partial.sum(dim=1, dtype=torch.float64)


@triton.jit
def _load_table(table, column, in_columns, width):
    """Load mean, gain and shift, each (1, COLUMNS)."""
    mean = tl.load(table + column, mask=in_columns, other=0)
    gain = tl.load(table + width + column, mask=in_columns, other=0)
    shift = tl.load(table + 2 * width + column, mask=in_columns, other=0)
    return mean[None, :], gain[None, :], shift[None, :]


@triton.jit
def _pool_kernel(
    y, table, place, slopes, moments, num_points, width, SLOPE: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    cloud, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    mean, gain, shift = _load_table(table, column, in_columns, width)
    sign = tl.where(gain > 0, 1, tl.where(gain < 0, -1, 0)).to(WIDE)  # at 0 all points tie
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
        key = tl.where(value != value, float("inf"), value * sign)  # NaN is the maximum, as in torch
        is_new = mask & (key > best)
        best = tl.where(is_new, key, best)
        best_point = tl.where(is_new, point[:, None], best_point)
    is_largest = best == tl.max(best, axis=0)[None, :]
    entry = cloud * width + column
    tl.store(place + entry, tl.min(tl.where(is_largest, best_point, num_points), axis=0), mask=in_columns)
    tl.store(slopes + entry, tl.sum(slope_sum, axis=0), mask=in_columns)
    tl.store(moments + entry, tl.sum(moment_sum, axis=0), mask=in_columns)


@triton.jit
def _pool_gradient_kernel(
    y, table, of_all, of_largest, place, through, grad_y, num_points, width, blocks, SLOPE: tl.constexpr,
    WITH_STATISTICS: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    cloud = block // blocks
    mean, gain, shift = _load_table(table, column, in_columns, width)
    entry = cloud * width + column
    every = tl.load(of_all + entry, mask=in_columns, other=0)[None, :]
    once = tl.load(of_largest + entry, mask=in_columns, other=0)[None, :]
    winner = tl.load(place + entry, mask=in_columns, other=0)[None, :]
    if WITH_STATISTICS:
        constant = tl.load(through + column, mask=in_columns, other=0)[None, :]
        factor = tl.load(through + width + column, mask=in_columns, other=0)[None, :]
    for step in range(STEPS):
        point = ((block % blocks) * STEPS + step) * ROWS + tl.arange(0, ROWS)
        mask = (point < num_points)[:, None] & in_columns[None, :]
        offset = (cloud * num_points + point)[:, None] * width + column[None, :]
        centred = tl.load(y + offset, mask=mask, other=0).to(WIDE) - mean
        value = every + tl.where(point[:, None] == winner, once, 0)
        value = tl.where(centred * gain + shift > 0, value, value * SLOPE) * gain
        if WITH_STATISTICS:
            value -= constant + factor * centred
        tl.store(grad_y + offset, value.to(grad_y.dtype.element_ty), mask=mask)


class _PooledBatchNormAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, scale, shift, mean, var, count, eps, sync):
        (num_clouds, num_points, width), norm = y.shape, Affine(scale, shift, mean, var, eps)
        table = torch.stack([norm.mean.double(), norm.gain, shift.double()]).to(wide(y.dtype))
        shape = tile_shape(width, y.dtype, max_columns=POOL_COLUMNS)
        del shape["STEPS"]  # all points of a cloud
        place = torch.empty(num_clouds, width, dtype=torch.int32, device=y.device)
        slopes, moments = table.new_empty(2, num_clouds, width)
        with launch_on(y):
            _pool_kernel[(num_clouds * triton.cdiv(width, shape["COLUMNS"]),)](
                y, table, place, slopes, moments, num_points, width, SLOPE=SLOPE, WIDE=wide_tl(y.dtype), **shape
            )
        centred = y.gather(1, place[:, None].long())[:, 0].to(table.dtype) - table[0]  # (B, E)
        ctx.save_for_backward(y, table, place, slopes, moments, centred)
        ctx.norm, ctx.count, ctx.sync, ctx.types = norm, count, sync, (scale.dtype, shift.dtype)
        z = centred * table[1] + table[2]
        return torch.where(z > 0, z, z * SLOPE), (moments * table[1] + slopes * table[2]) / num_points

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_largest, grad_average):
        y, table, place, slopes, moments, centred = ctx.saved_tensors
        (num_clouds, num_points, width), norm = y.shape, ctx.norm
        of_all = (grad_average / num_points).to(table.dtype).contiguous()
        of_largest = grad_largest.to(table.dtype).contiguous()
        before = torch.where(centred * table[1] + table[2] > 0, of_largest, of_largest * SLOPE)
        grad_shift = (of_all * slopes + before).sum(dim=0, dtype=torch.float64)
        grad_scale = (of_all * moments + before * centred).sum(dim=0, dtype=torch.float64) * norm.rstd
        through = None
        if ctx.count:
            a, b = norm.through_statistics(grad_shift, grad_scale, ctx.count, ctx.sync)
            through = torch.stack([a + b * norm.mean, b]).to(table.dtype)  # applied to centred rows
        shape = tile_shape(width, y.dtype)
        blocks, programs = count_blocks(num_points, width, shape)
        grad_y = torch.empty_like(y)
        with launch_on(y):
            _pool_gradient_kernel[(num_clouds * programs,)](
                y, table, of_all, of_largest, place, through, grad_y, num_points, width, blocks, SLOPE=SLOPE,
                WITH_STATISTICS=through is not None, WIDE=wide_tl(y.dtype), **shape,
            )  # fmt: skip
        of_scale, of_shift = ctx.types
        return grad_y, grad_scale.to(of_scale), grad_shift.to(of_shift), None, None, None, None, None


@torch.compiler.disable
def pooled_batch_norm_act(
    y: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor, count: int, eps: float, sync: bool
) -> tuple[Tensor, Tensor]:
    """Compute maximum and mean over the points of each cloud of LeakyReLU(BatchNorm(y)).

    Args:
        y: (B, N, E), bfloat16 or float16 under autocast. Sums are accumulated in at least float32.
        scale, shift: (E,) of BatchNorm, of any sign. Where a scale is 0 the first point is the maximum.
        mean, var: (E,) float64, to normalise with.
        count: rows whose statistics these are, so that gradients flow through them; 0: they are constants.
        sync: the statistics are those of all ranks.
    Returns:
        Maximum and mean (B, E), in at least float32.
    """
    return _PooledBatchNormAct.apply(y.contiguous(), scale, shift, mean, var, count, eps, sync)
