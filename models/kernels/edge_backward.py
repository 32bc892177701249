"""Backward half of the fused edge convolution: column sums, the gradient of v, and that of u gathered over edges.

du_j is a sum over the rows i that have j as a neighbour. Float atomics from the rows i would move M * K * D * 8 bytes
(read, add, write, in float32 whatever the inputs) and round differently in each run. To sort the edges by j once a
layer costs about 100 bytes an edge; a gather then reads M * K * D * (1 + 2 or 4) bytes: of each edge the place of the
maximum and v, and the incoming gradient only where j was the maximum. Fewer bytes from D = 64 on, and the same sums in
the same order every time. So the kernels gather.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.batch_norm import SLOPE
from models.kernels.tiles import block_of, count_blocks, load_normalisation, store_sums, tile_shape, wide, wide_tl


class Incoming(NamedTuple):
    """Edges, as i * K + place, sorted by the row they lead to: `order[offsets[j] : offsets[j + 1]]` lead to row j."""

    order: Tensor
    offsets: Tensor


@triton.jit
def _gradient_sums_kernel(
    grad, largest, table, partial, num_rows, width, blocks, SLOPE: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    mean, gain, shift = load_normalisation(table, column, in_columns, width)
    total = tl.zeros((ROWS, COLUMNS), WIDE)
    moment = tl.zeros((ROWS, COLUMNS), WIDE)
    for step in range(STEPS):
        row = (block * STEPS + step) * ROWS + tl.arange(0, ROWS)
        mask = (row < num_rows)[:, None] & in_columns[None, :]
        place = row[:, None] * width + column[None, :]
        centred = tl.load(largest + place, mask=mask, other=0) - mean
        value = tl.load(grad + place, mask=mask, other=0).to(WIDE)
        value = tl.where(centred * gain + shift > 0, value, value * SLOPE)
        total += value
        moment += value * centred
    store_sums(partial, total, moment, block, blocks, column, in_columns, width)


@triton.jit
def _row_gradient_kernel(
    grad, largest, table, edge_sum, weight, base, q, grad_max, grad_v, num_rows, width, v_stride,
    SLOPE: tl.constexpr, WITH_SUMS: tl.constexpr, WEIGHTED: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    mean, gain, shift = load_normalisation(table, column, in_columns, width)
    if WITH_SUMS:
        slope = tl.load(q + column, mask=in_columns, other=0)[None, :]
        constant = tl.load(base + column, mask=in_columns, other=0)[None, :]
    for step in range(STEPS):
        row = (block * STEPS + step) * ROWS + tl.arange(0, ROWS)
        in_rows = row < num_rows
        mask = in_rows[:, None] & in_columns[None, :]
        place = row[:, None] * width + column[None, :]
        z = (tl.load(largest + place, mask=mask, other=0) - mean) * gain + shift
        value = tl.load(grad + place, mask=mask, other=0).to(WIDE)
        value = tl.where(z > 0, value, value * SLOPE) * gain
        tl.store(grad_max + place, value.to(grad_max.dtype.element_ty), mask=mask)
        if WITH_SUMS:
            through = constant + slope * tl.load(edge_sum + place, mask=mask, other=0).to(WIDE)
            if WEIGHTED:
                through *= tl.load(weight + row, mask=in_rows, other=0).to(WIDE)[:, None]
            value -= through
        out = grad_v + row[:, None] * v_stride + column[None, :]
        tl.store(out, value.to(grad_v.dtype.element_ty), mask=mask)


@triton.jit
def _gather_gradient_kernel(
    order, offsets, grad_max, argmax, u, v, weight, mean, r0, q, grad_u, width, u_stride, v_stride, out_stride,
    K: tl.constexpr, WITH_SUMS: tl.constexpr, WEIGHTED: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    target, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    start = tl.load(offsets + target)
    end = tl.load(offsets + target + 1)
    if WITH_SUMS:
        own = tl.load(u + target * u_stride + column, mask=in_columns, other=0).to(WIDE)
        own -= tl.load(mean + column, mask=in_columns, other=0)
    taken = tl.zeros((ROWS, COLUMNS), WIDE)
    centred = tl.zeros((ROWS, COLUMNS), WIDE)
    count = tl.zeros((ROWS,), WIDE)
    for first in range(start, end, ROWS):
        is_edge = first + tl.arange(0, ROWS) < end
        edge = tl.load(order + first + tl.arange(0, ROWS), mask=is_edge, other=0)
        centre = edge // K
        mask = is_edge[:, None] & in_columns[None, :]
        place = centre[:, None] * width + column[None, :]
        winner = tl.load(argmax + place, mask=mask, other=0).to(tl.int32)
        is_winner = mask & (winner == (edge % K).to(tl.int32)[:, None])
        taken += tl.load(grad_max + place, mask=is_winner, other=0).to(WIDE)
        if WITH_SUMS:
            value = tl.load(v + centre[:, None] * v_stride + column[None, :], mask=mask, other=0).to(WIDE)
            times = is_edge.to(WIDE)
            if WEIGHTED:
                times = tl.load(weight + centre, mask=is_edge, other=0).to(WIDE)
            centred += times[:, None] * (value + own[None, :])
            count += times
    total = tl.sum(taken, axis=0)
    if WITH_SUMS:
        total -= tl.load(r0 + column, mask=in_columns, other=0) * tl.sum(count, axis=0)
        total -= tl.load(q + column, mask=in_columns, other=0) * tl.sum(centred, axis=0)
    tl.store(grad_u + target * out_stride + column, total.to(grad_u.dtype.element_ty), mask=in_columns)


def incoming_edges(index: Tensor, num_rows: int) -> Incoming:
    """Sort edges by the row they lead to; edges of one row keep their order. Shape: index (M, K)."""
    target, order = torch.sort(index.flatten().int(), stable=True)
    rows = torch.arange(num_rows + 1, dtype=torch.int32, device=index.device)
    return Incoming(order, torch.searchsorted(target, rows))


def max_gradient(grad: Tensor, argmax: Tensor, index: Tensor) -> Tensor:
    """Sum, for every row j, of grad[i] over the rows i and channels whose maximum was j. Shape: (M, D) -> (M, D).

    Args:
        grad: (M, D) contiguous; argmax: (M, D) uint8 and index: (M, K), as in `edge_forward`.
    """
    num_rows, width = grad.shape
    shape, incoming, out = tile_shape(width, grad.dtype), incoming_edges(index, num_rows), torch.empty_like(grad)
    del shape["STEPS"]  # one row for each program
    with torch.cuda.device_of(grad):
        _gather_gradient_kernel[(num_rows * triton.cdiv(width, shape["COLUMNS"]),)](
            incoming.order, incoming.offsets, grad, argmax, None, None, None, None, None, None, out, width, 0, 0, width,
            K=index.shape[1], WITH_SUMS=False, WEIGHTED=False, WIDE=wide_tl(grad.dtype), **shape,
        )  # fmt: skip
    return out


def gradient_sums(grad_out: Tensor, largest: Tensor, table: Tensor) -> Tensor:
    """Sums over rows of the gradient before the activation, and of it times (largest - mean), in float64.

    Args:
        grad_out: (M, D) gradient of `activate(largest, table)`, contiguous.
    Returns:
        (2, D): the gradient of the shift, and that of the scale divided by rstd.
    """
    num_rows, width = largest.shape
    shape = tile_shape(width, largest.dtype)
    blocks, programs = count_blocks(num_rows, width, shape)
    partial = largest.new_empty(2, blocks, width)
    with torch.cuda.device_of(largest):
        _gradient_sums_kernel[(programs,)](
            grad_out, largest, table, partial, num_rows, width, blocks, SLOPE=SLOPE,
            WIDE=wide_tl(largest.dtype), **shape,
        )  # fmt: skip
    return partial.sum(dim=1, dtype=torch.float64)


def edge_backward(
    grad_out: Tensor,
    u: Tensor,
    v: Tensor,
    index: Tensor,
    weight: Tensor | None,
    largest: Tensor,
    argmax: Tensor,
    edge_sum: Tensor | None,
    table: Tensor,
    statistics_gradient: Tensor | None,
) -> Tensor:
    """Gradient of u and of v side by side, (M, 2D) in their type: one product carries it on to x and W.

    Args:
        grad_out: (M, D) gradient of `activate(largest, table)`, contiguous.
        u, v, index, weight: as given to `edge_forward`; largest, argmax, edge_sum: as it returned them.
        table: `tiles.normalisation` of the forward pass.
        statistics_gradient: (2, D) float64, r0 and q: what each edge e receives through the batch statistics is
            -(r0 + q (e - mean)). None if they were given.
    """
    (num_rows, width), k = u.shape, index.shape[1]
    shape, with_sums = tile_shape(width, u.dtype), statistics_gradient is not None
    _, programs = count_blocks(num_rows, width, shape)
    grad_uv = u.new_empty(num_rows, 2 * width)
    grad_u, grad_v = grad_uv.chunk(2, dim=1)
    grad_max = u.new_empty(num_rows, width)
    mean, r0, q, base = table[0], None, None, None
    if with_sums:
        r0, q = statistics_gradient.to(wide(u.dtype)).contiguous()
        base = (k * (statistics_gradient[0] - statistics_gradient[1] * mean.double())).to(q.dtype)
    flags = {"WITH_SUMS": with_sums, "WEIGHTED": weight is not None, "WIDE": wide_tl(u.dtype)}
    with torch.cuda.device_of(u):
        _row_gradient_kernel[(programs,)](
            grad_out, largest, table, edge_sum, weight, base, q, grad_max, grad_v, num_rows, width, grad_v.stride(0),
            SLOPE=SLOPE, **flags, **shape,
        )  # fmt: skip
        incoming = incoming_edges(index, num_rows)
        del shape["STEPS"]  # one row for each program
        _gather_gradient_kernel[(num_rows * triton.cdiv(width, shape["COLUMNS"]),)](
            incoming.order, incoming.offsets, grad_max, argmax, u, v, weight, mean, r0, q, grad_u, width, u.stride(0),
            v.stride(0), grad_u.stride(0), K=k, **flags, **shape,
        )  # fmt: skip
    return grad_uv
