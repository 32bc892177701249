"""(max, mean) over points of act(batch_norm(y)), with its gradients, by the kernels of `pool`."""

import torch
from torch import Tensor

from models.batch_norm import SLOPE
from models.kernels.pool import column_sums, pool_gradient, pool_rows
from models.kernels.tiles import normalisation


class _PooledBatchNormAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, scale, shift, stats, eps):
        num_rows = y.shape[0] * y.shape[1]
        ctx.uses_batch = stats is None
        if stats is None:
            origin = y[0, 0]
            offset, square = column_sums(y.flatten(0, 1), origin) / num_rows
            mean, var = origin + offset, (square - offset * offset).clamp_min(0)
        else:
            mean, var = stats
        rstd = torch.rsqrt(var + eps)
        table = normalisation(mean, scale * rstd, shift, y.dtype)
        found = pool_rows(y, table)
        ctx.save_for_backward(y, scale, rstd, table, *found)
        z = (found.extreme - table[0]) * table[1] + table[2]
        average = (found.moments * table[1] + found.slopes * table[2]) / y.shape[1]
        mean, var = mean.to(scale.dtype), var.to(scale.dtype)
        ctx.mark_non_differentiable(mean, var)
        return torch.where(z > 0, z, z * SLOPE), average, mean, var

    @staticmethod
    def backward(ctx, grad_largest, grad_average, _mean, _var):
        y, scale, rstd, table, extreme, place, slopes, moments = ctx.saved_tensors
        of_all = (grad_average / y.shape[1]).to(table.dtype)
        of_largest = grad_largest.to(table.dtype).contiguous()
        centred = extreme - table[0]
        before = torch.where(centred * table[1] + table[2] > 0, of_largest, of_largest * SLOPE)
        grad_shift = (of_all * slopes + before).sum(dim=0, dtype=torch.float64)
        grad_scale = (of_all * moments + before * centred).sum(dim=0, dtype=torch.float64) * rstd
        through = None
        if ctx.uses_batch:
            gain = scale * rstd / (y.shape[0] * y.shape[1])
            through = torch.stack([gain * grad_shift, gain * rstd * grad_scale])
        grad_y = pool_gradient(y, table, of_all, of_largest, place, through)
        return grad_y, grad_scale.to(scale.dtype), grad_shift.to(scale.dtype), None, None


def pooled_batch_norm_act(
    y: Tensor, scale: Tensor, shift: Tensor, stats: tuple[Tensor, Tensor] | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Maximum and mean over the points of each cloud of LeakyReLU(BatchNorm(y)).

    Args:
        y: (B, N, E), bfloat16 or float16 under autocast. Sums are taken in at least float32.
        scale, shift: (E,) BatchNorm's, of any sign.
        stats: mean and variance to normalise with; None takes those of all B * N rows.
    Returns:
        Maximum and mean (B, E), in at least float32; mean and biased variance (E,) that y was normalised with.
    """
    return _PooledBatchNormAct.apply(y.contiguous(), scale, shift, stats, eps)
