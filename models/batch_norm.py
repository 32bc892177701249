"""BatchNorm + LeakyReLU of rows, fused, where a row may stand for several equal samples.

Letters: M rows, D channels. `weight` (M,) counts the samples of each row; None means one each.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of every LeakyReLU in DGCNN
BLOCK = 64  # rows summed in the precision of the input


class _BatchNormAct(torch.autograd.Function):
    """act(batch_norm(x)) over rows; keeps only x for the backward pass."""

    @staticmethod
    def forward(ctx, x, scale, shift, weight, stats, eps):
        if stats is None:
            ctx.count = len(x) if weight is None else int(weight.sum())
            mean, var = _row_statistics(x, weight, ctx.count)
        else:
            ctx.count = 0
            mean, var = stats
        rstd = torch.rsqrt(var + eps)
        gain = scale * rstd
        out = F.leaky_relu_(torch.addcmul(shift - mean * gain, x, gain), SLOPE)
        ctx.save_for_backward(x, scale, shift, weight, mean, rstd)
        ctx.mark_non_differentiable(mean, var)
        return out, mean, var

    @staticmethod
    def backward(ctx, grad_out, _mean, _var):
        x, scale, shift, weight, mean, rstd = ctx.saved_tensors
        gain = scale * rstd
        is_positive = torch.addcmul(shift - mean * gain, x, gain) > 0
        grad = torch.where(is_positive, grad_out, grad_out * SLOPE)
        grad_shift = grad.sum(dim=0)
        grad_scale = ((grad * x).sum(dim=0) - mean * grad_shift) * rstd
        grad_x = grad.mul_(gain)
        if ctx.count:
            q = gain * rstd * grad_scale / ctx.count
            through_statistics = torch.addcmul(gain * grad_shift / ctx.count - q * mean, x, q)
            grad_x -= through_statistics if weight is None else through_statistics.mul_(weight[:, None])
        return grad_x, grad_scale, grad_shift, None, None, None


def _row_statistics(x: Tensor, weight: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance per channel over all samples, summed around the first row in float64."""
    origin = x[0]
    centred = x - origin
    weighted = centred if weight is None else centred * weight[:, None]
    offset = sum64(weighted) / count
    var = sum64(weighted.mul_(centred) if weight is not None else centred.square_()) / count - offset * offset
    return (origin + offset).to(x.dtype), var.clamp_min(0).to(x.dtype)


def sum64(x: Tensor) -> Tensor:
    """Sum over rows, of blocks in the precision of x and of their sums in float64. Shape: (M, D) -> (D,).

    A tenth of the time of `x.sum(dim=0, dtype=torch.float64)`, which first converts all of x; off by 1e-8.
    """
    whole = len(x) // BLOCK * BLOCK
    blocks = x[:whole].unflatten(0, (-1, BLOCK)).sum(dim=1)
    return blocks.sum(dim=0, dtype=torch.float64) + x[whole:].sum(dim=0, dtype=torch.float64)


@torch.no_grad()
def update_running(norm: nn.Module, mean: Tensor, var: Tensor, count: int) -> None:
    """Move BatchNorm's running statistics as torch does: exponential average, unbiased variance of `count` samples."""
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_((var * count / (count - 1)).to(norm.running_var.dtype), norm.momentum)


class PointwiseConv(nn.Sequential):
    """LeakyReLU(BatchNorm(W x)) of every row; `dims` is 1 or 2, the rank of the stored 1x1 convolution.

    Shape: x (M, C), weight (M,) or None -> (M, D). Parameters are named "0" (convolution, no bias) and "1"
    (BatchNorm), as in the published checkpoints; the convolution's weight keeps its shape (D, C, 1[, 1]).
    """

    def __init__(self, in_channels: int, out_channels: int, dims: int = 1):
        conv, norm = (nn.Conv1d, nn.BatchNorm1d) if dims == 1 else (nn.Conv2d, nn.BatchNorm2d)
        super().__init__(conv(in_channels, out_channels, 1, bias=False), norm(out_channels))

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        norm = self[1]
        x = F.linear(x, self[0].weight.flatten(1))
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        stats = None if self.training else (norm.running_mean, norm.running_var)
        out, mean, var = _BatchNormAct.apply(x, norm.weight, norm.bias, weight, stats, norm.eps)
        if self.training:
            count = len(x) if weight is None else int(weight.sum())
            if count < 2:
                raise ValueError("training-mode BatchNorm needs at least 2 samples; raise --batch_size")
            update_running(norm, mean, var, count)
        return out
