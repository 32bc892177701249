"""Convolution, BatchNorm, LeakyReLU and pooling over each cloud, without storing the activated rows.

Letters: M rows, D channels, B clouds of N points.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.affine import SLOPE, Affine
from models.distributed import is_synchronised
from models.kernels import can_run
from models.layers.row_norm import PointwiseConv, blocks, cloud_maxima, linear
from models.rows import CloudRows


class _NormActPool(torch.autograd.Function):
    """Maximum and mean of act(batch_norm(x)) over the points of each cloud, for scale >= 0.

    The maximum is taken of x itself. The mean of LeakyReLU follows from the sum of x, the sum of the x whose
    normalised value is positive, and their number. So neither needs the activated rows, nor do the gradients of scale
    and shift.
    """

    @staticmethod
    def forward(ctx, x, scale, shift, mean, var, count, clouds, eps, sync):
        norm = Affine(scale, shift, mean, var, eps)
        # act(gain x + offset) has slope 1 above this x
        where_flat = torch.where(shift > 0, -torch.inf, torch.inf).to(norm.gain.dtype)
        threshold = torch.where(norm.gain > 0, -norm.offset / norm.gain, where_flat)
        sums = torch.stack([_cloud_sums(rows, threshold.to(x.dtype)) for rows in x.split(clouds.lengths)], dim=1)
        largest, argmax = cloud_maxima(x, clouds)
        points = torch.tensor(clouds.lengths, dtype=torch.float64, device=x.device)[:, None]  # (B, 1)
        if clouds.weight is not None:
            first, copies = clouds.merged_rows()
            row = x[first]
            is_positive = (row > threshold.to(x.dtype)).double()
            sums += copies[:, None] * torch.stack([row.double(), row * is_positive, is_positive])
            points = points + copies[:, None]
        is_flat = norm.gain == 0  # all points tie there: take the first, as the published network does
        if is_flat.any():
            argmax[:, is_flat] = clouds.first_rows(x.device)[:, None]
            largest = x.gather(0, argmax)
        all_x, positive_x, positive = sums
        gain, offset = norm.gain, norm.offset
        average = SLOPE * (gain * all_x + offset * points) + (1 - SLOPE) * (gain * positive_x + offset * positive)
        top = gain * largest + offset
        ctx.save_for_backward(x, threshold, sums, points, largest, argmax, top)
        ctx.norm, ctx.count, ctx.clouds, ctx.sync = norm, count, clouds, sync
        return F.leaky_relu(top, SLOPE).to(x.dtype), (average / points).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_max, grad_mean):
        x, threshold, (all_x, positive_x, positive), points, largest, argmax, top = ctx.saved_tensors
        norm, clouds = ctx.norm, ctx.clouds
        grad_mean = grad_mean.double() / points
        grad_max = torch.where(top > 0, grad_max, grad_max * SLOPE).double()
        grad_shift = (grad_mean * (SLOPE * points + (1 - SLOPE) * positive) + grad_max).sum(dim=0)
        along_x = (grad_mean * (SLOPE * all_x + (1 - SLOPE) * positive_x) + grad_max * largest).sum(dim=0)
        grad_scale = (along_x - norm.mean * grad_shift) * norm.rstd
        zero = torch.zeros_like(grad_shift)
        a, b = norm.through_statistics(grad_shift, grad_scale, ctx.count, ctx.sync) if ctx.count else (zero, zero)
        step = ((1 - SLOPE) * norm.gain * grad_mean).to(x.dtype)  # (B, D), the share of positive rows only
        base = (SLOPE * norm.gain * grad_mean - a).to(x.dtype)  # (B, D), the share of every row
        grad, b, threshold = torch.empty_like(x), b.to(x.dtype), threshold.to(x.dtype)
        for number, (rows, targets) in enumerate(zip(x.split(clouds.lengths), grad.split(clouds.lengths))):
            for block, target in zip(blocks(rows), blocks(targets)):
                torch.gt(block, threshold, out=target)
                torch.addcmul(base[number], target, step[number], out=target).addcmul_(block, b, value=-1)
        if clouds.weight is not None:
            first, copies = clouds.merged_rows()
            grad[first] *= (copies[:, None] + 1).to(x.dtype)
        grad.scatter_add_(0, argmax, (norm.gain * grad_max).to(x.dtype))
        return grad, grad_scale.to(x.dtype), grad_shift.to(x.dtype), None, None, None, None, None, None


def _cloud_sums(rows: Tensor, threshold: Tensor) -> Tensor:
    """Sum the rows of x and those x above the threshold, and count these. Shape: (N, D) -> (3, D), float64."""
    sums = rows.new_zeros(3, rows.shape[1], dtype=torch.float64)
    for block in blocks(rows):
        is_above = torch.gt(block, threshold, out=torch.empty_like(block))
        sums[0] += block.sum(dim=0)
        sums[2] += is_above.sum(dim=0)
        sums[1] += is_above.mul_(block).sum(dim=0)
    return sums


class PooledConv(PointwiseConv):
    """Maximum and mean over each cloud of LeakyReLU(BatchNorm(W x)).

    Shape: x (M, C), clouds of M rows -> two (B, D). Parameters as in PointwiseConv.
    """

    def forward(self, x: Tensor, clouds: CloudRows) -> tuple[Tensor, Tensor]:
        norm = self[1]
        if can_run(x) and clouds.are_equal:
            return self._by_kernels(x, len(clouds.lengths))
        # A negative scale would turn maxima into minima, so its channel and the scale itself are negated.
        sign = torch.where(norm.weight < 0, -1.0, 1.0).to(norm.weight.dtype)
        x = linear(x, self[0].weight.flatten(1) * sign[:, None])
        mean, var, count = self.statistics(x, clouds, sign)
        scale = norm.weight * sign
        return _NormActPool.apply(x, scale, norm.bias, mean, var, count, clouds, norm.eps, is_synchronised(norm))

    def _by_kernels(self, x: Tensor, num_clouds: int) -> tuple[Tensor, Tensor]:
        """Compute `forward` for clouds of equal size with the Triton kernels."""
        from models.kernels.pooled_norm import pooled_batch_norm_act

        norm = self[1]
        y = F.linear(x, self[0].weight.flatten(1))
        mean, var, count = self.statistics(y)
        y = y.unflatten(0, (num_clouds, -1))  # (B, N, D)
        return pooled_batch_norm_act(y, norm.weight, norm.bias, mean, var, count, norm.eps, is_synchronised(norm))
