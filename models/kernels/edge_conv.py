"""act(batch_norm(max_j(u_j + v_i))) with the statistics of all edges, by the kernels of this package.

The derivation is in models.edge_conv, whose CPU form this equals.
"""

import torch
from torch import Tensor

from models.kernels.edge_backward import edge_backward, gradient_sums
from models.kernels.edge_forward import activate, edge_forward
from models.kernels.tiles import normalisation


class _MaxBatchNormAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, uv, scale, shift, index, weight, stats, eps, dtype, with_grad):
        u, v = uv.chunk(2, dim=1)
        ctx.num_edges = 0
        found = edge_forward(u, v, index, weight, need_statistics=stats is None, with_argmax=with_grad)
        if stats is None:
            ctx.num_edges = index.shape[1] * (len(u) if weight is None else int(weight.sum()))
            mean, square = found.sums / ctx.num_edges
            var = (square - mean * mean).clamp_min(0)
        else:
            mean, var = stats
        rstd = torch.rsqrt(var + eps)
        table = normalisation(mean, scale * rstd, shift, u.dtype)
        ctx.save_for_backward(uv, scale, rstd, index, weight, table, *found[:3])
        mean, var = mean.to(scale.dtype), var.to(scale.dtype)
        ctx.mark_non_differentiable(mean, var)
        return activate(found.largest, table, dtype), mean, var

    @staticmethod
    def backward(ctx, grad_out, _mean, _var):
        uv, scale, rstd, index, weight, table, largest, argmax, edge_sum = ctx.saved_tensors
        grad_out = grad_out.contiguous()
        grad_shift, grad_scale = gradient_sums(grad_out, largest, table)
        grad_scale = grad_scale * rstd
        through = None
        if ctx.num_edges:
            gain = scale * rstd / ctx.num_edges
            through = torch.stack([gain * grad_shift, gain * rstd * grad_scale])
        grad_uv = edge_backward(grad_out, *uv.chunk(2, dim=1), index, weight, largest, argmax, edge_sum, table, through)
        return grad_uv, grad_scale.to(scale.dtype), grad_shift.to(scale.dtype), *[None] * 6


def max_batch_norm_act(
    uv: Tensor,
    scale: Tensor,
    shift: Tensor,
    index: Tensor,
    weight: Tensor | None,
    stats: tuple[Tensor, Tensor] | None,
    eps: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """LeakyReLU of BatchNorm of the maximum over the neighbours, with the statistics of all edges.

    Args:
        uv: (M, 2D), u and v of the rows side by side; bfloat16 or float16 under autocast. Sums are taken in at
            least float32.
        scale, shift: (D,) BatchNorm's, scale >= 0.
        index: (M, K) integers, rows of u, K <= 256.
        weight: (M,) equal points each row stands for, or None.
        stats: mean and variance to normalise with; None takes those of all edges.
        dtype: of the result.
    Returns:
        (M, D) result; mean and biased variance (D,) that it was normalised with.
    """
    return _MaxBatchNormAct.apply(
        uv.contiguous(), scale, shift, index.contiguous(), weight, stats, eps, dtype, torch.is_grad_enabled()
    )
