"""act(max_j u_j + v_i): an edge convolution whose BatchNorm is in its weights. See models.layers.edge_conv.

In float32 the forward pass reads M * K * D * 4 bytes of u, from the second-level cache that holds the rows of a cloud
while its programs run, and M * K * 8 bytes of indices; everything else is proportional to M * D.

In the backward pass the gradient of u_j is a sum over the rows i that have j as a neighbour. Float atomics from the
rows i would round differently in each run. Sorting the edges by j costs about 100 bytes per edge, once per layer; a
gather then reads one byte per edge and channel, the place of the maximum, and the incoming gradient only where j was
the maximum. So it adds the same terms in the same order every time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.affine import SLOPE
from models.kernels.tiles import block_of, count_blocks, launch_on, tile_shape, wide_tl
from models.rows import Edges


@triton.jit
def _max_act_kernel(
    u, v, index, out, argmax, num_rows, width, K: tl.constexpr, SLOPE: tl.constexpr, WITH_ARGMAX: tl.constexpr,
    WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    block, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    for step in range(STEPS):
        row = (block * STEPS + step) * ROWS + tl.arange(0, ROWS)
        in_rows = row < num_rows
        mask = in_rows[:, None] & in_columns[None, :]
        best = tl.full((ROWS, COLUMNS), float("-inf"), WIDE)
        place = tl.zeros((ROWS, COLUMNS), tl.int32)
        for j in tl.range(K, loop_unroll_factor=4):  # several loads of u in flight
            neighbour = tl.load(index + row * K + j, mask=in_rows, other=0).to(tl.int64)
            value = tl.load(u + neighbour[:, None] * width + column[None, :], mask=mask, other=0).to(WIDE)
            is_new = (value > best) | (value != value)  # NaN stays the maximum, as in torch
            best = tl.where(is_new, value, best)
            if WITH_ARGMAX:
                place = tl.where(is_new, j, place)
        here = row[:, None] * width + column[None, :]
        best += tl.load(v + here, mask=mask, other=0).to(WIDE)
        best = tl.where(best > 0, best, best * SLOPE)
        tl.store(out + here, best.to(out.dtype.element_ty), mask=mask)
        if WITH_ARGMAX:
            tl.store(argmax + here, place.to(argmax.dtype.element_ty), mask=mask)


@triton.jit
def _gather_gradient_kernel(
    order, offsets, grad, argmax, grad_u, width, K: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    target, column, in_columns = block_of(tl.program_id(0), width, COLUMNS)
    start = tl.load(offsets + target)
    end = tl.load(offsets + target + 1)
    total = tl.zeros((ROWS, COLUMNS), WIDE)
    for first in range(start, end, ROWS):
        is_edge = first + tl.arange(0, ROWS) < end
        edge = tl.load(order + first + tl.arange(0, ROWS), mask=is_edge, other=0)
        mask = is_edge[:, None] & in_columns[None, :]
        here = (edge // K)[:, None] * width + column[None, :]
        winner = tl.load(argmax + here, mask=mask, other=0).to(tl.int32)
        is_winner = mask & (winner == (edge % K).to(tl.int32)[:, None])
        total += tl.load(grad + here, mask=is_winner, other=0).to(WIDE)
    out = grad_u + target * width + column
    tl.store(out, tl.sum(total, axis=0).to(grad_u.dtype.element_ty), mask=in_columns)


class _MaxAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, v, edges, dtype, with_grad):
        (num_rows, width), k = u.shape, edges.index.shape[1]
        out = torch.empty_like(u, dtype=dtype)
        place_type = torch.uint8 if k <= 256 else torch.int32
        argmax = torch.empty_like(u, dtype=place_type) if with_grad else None
        shape = tile_shape(width, u.dtype)
        _, programs = count_blocks(num_rows, width, shape)
        with launch_on(u):
            _max_act_kernel[(programs,)](
                u, v, edges.index, out, argmax, num_rows, width, K=k, SLOPE=SLOPE, WITH_ARGMAX=with_grad,
                WIDE=wide_tl(u.dtype), **shape,
            )  # fmt: skip
        ctx.save_for_backward(out, argmax)
        ctx.edges, ctx.types = edges, (u.dtype, v.dtype)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        out, argmax = ctx.saved_tensors
        # LeakyReLU keeps the sign, so its output determines its slope.
        grad = torch.ops.aten.leaky_relu_backward(grad_out.contiguous(), out, SLOPE, True)
        of_u, of_v = ctx.types
        return _gather(grad.to(of_u), argmax, ctx.edges), grad.to(of_v), None, None, None


def _gather(grad: Tensor, argmax: Tensor, edges: Edges) -> Tensor:
    """Sum grad[i], for every row j, over the rows i and channels whose maximum was j. Shape: (M, D) -> (M, D)."""
    num_rows, width = grad.shape
    shape, out = tile_shape(width, grad.dtype), torch.empty_like(grad)
    del shape["STEPS"]  # one row for each program
    order, offsets = edges.by_neighbour
    with launch_on(grad):
        _gather_gradient_kernel[(num_rows * triton.cdiv(width, shape["COLUMNS"]),)](
            order, offsets, grad, argmax, out, width, K=edges.index.shape[1], WIDE=wide_tl(grad.dtype), **shape
        )
    return out


@torch.compiler.disable
def max_act(u: Tensor, v: Tensor, edges: Edges, dtype: torch.dtype) -> Tensor:
    """Compute LeakyReLU(max_j u_j + v_i) in type `dtype`; on a tie the gradient goes to the first neighbour listed.

    Shape: u, v (M, D), edges between M rows -> (M, D).

    Args:
        u: bfloat16 or float16 halve the memory traffic of the edges; v may have another type.
    """
    return _MaxAct.apply(u.contiguous(), v.contiguous(), edges, dtype, torch.is_grad_enabled())
