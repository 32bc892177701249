"""BatchNorm + LeakyReLU of rows, and of rows that are then pooled over their cloud, without intermediate tensors.

On a CPU such passes wait for memory, so they go through the rows in blocks that stay in the processor's cache.

Letters: M rows, D channels, B clouds.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.geometry import CloudRows
from models.sync import is_synchronised, total

SLOPE = 0.2  # of every LeakyReLU in DGCNN
BLOCK = 2**19  # numbers in a block of rows: 2 MiB of float32
GROUP = 16  # rows of which the maximum is taken first


def blocks(x: Tensor) -> Iterator[Tensor]:
    """Consecutive rows of x, a block at a time; all at once on a device that is not a CPU."""
    return iter(x.split(max(1, BLOCK // x.shape[1])) if x.device.type == "cpu" else (x,))


def row_statistics(x: Tensor, clouds: CloudRows | None = None, *, sync: bool = False) -> tuple[Tensor, Tensor, int]:
    """Mean and biased variance of every channel, in float64, and the number of samples.

    Args:
        x: (M, D).
        clouds: how many samples each row is; None means one each.
        sync: over the rows of all processes.
    """
    origin = x[0]  # sums around it do not cancel
    sums = x.new_zeros(2, x.shape[1], dtype=torch.float64)
    for block in blocks(x):
        centred = block - origin
        sums[0] += centred.sum(dim=0)
        sums[1] += centred.square_().sum(dim=0)
    count = len(x)
    if clouds is not None and clouds.weight is not None:
        first, copies = first_rows(clouds)
        centred = (x[first] - origin).double()  # (B, D)
        sums += torch.stack([copies @ centred, copies @ centred.square()])
        count += int(copies.sum())
    offset, square = sums / count
    mean, var = origin + offset, (square - offset * offset).clamp_min(0)
    if not sync:
        return mean, var, count
    sums, count = (
        total(torch.stack([mean, var + mean * mean]) * count),
        int(total(torch.tensor(count, device=x.device))),
    )
    mean, square = sums / count
    return mean, (square - mean * mean).clamp_min(0), count


def first_rows(clouds: CloudRows) -> tuple[Tensor, Tensor]:
    """Row of each cloud's point 0, and how many further points it stands for (float64). Shape: two (B,)."""
    lengths = torch.tensor(clouds.lengths, device=clouds.weight.device)
    first = lengths.cumsum(0) - lengths
    return first, clouds.weight[first].double() - 1


@torch.no_grad()
def update_running(norm: nn.Module, mean: Tensor, var: Tensor, count: int) -> None:
    """Move BatchNorm's running statistics as torch does: exponential average, unbiased variance of `count` samples.

    Raises:
        ValueError: fewer than 2 samples.
    """
    if count < 2:
        raise ValueError("training-mode BatchNorm needs at least 2 samples; raise --batch_size")
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_((var * count / (count - 1)).to(norm.running_var.dtype), norm.momentum)


class _Affine:
    """BatchNorm as gain * x + offset per channel, and what its backward pass needs. All float64."""

    def __init__(self, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor, eps: float):
        self.mean, self.rstd = mean, torch.rsqrt(var + eps)
        self.gain = scale * self.rstd
        self.offset = shift - self.gain * mean

    def through_statistics(
        self, grad_shift: Tensor, grad_scale: Tensor, count: int, sync: bool
    ) -> tuple[Tensor, Tensor]:
        """a, b: the batch statistics take a + b * x from the gradient at a row x."""
        if sync:
            grad_shift, grad_scale = total(torch.stack([grad_shift, grad_scale]))
        b = self.gain * self.rstd * grad_scale / count
        return self.gain * grad_shift / count - b * self.mean, b


class _NormAct(torch.autograd.Function):
    """act(batch_norm(x)) over rows; keeps only x for the backward pass. `count` 0 means fixed statistics."""

    @staticmethod
    def forward(ctx, x, scale, shift, mean, var, count, eps, sync):
        norm = _Affine(scale, shift, mean, var, eps)
        ctx.save_for_backward(x)
        ctx.norm, ctx.count, ctx.sync = norm, count, sync
        gain, offset = norm.gain.to(x.dtype), norm.offset.to(x.dtype)
        out = torch.empty_like(x)
        for block, target in zip(blocks(x), blocks(out)):
            F.leaky_relu_(torch.addcmul(offset, block, gain, out=target), SLOPE)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        (x,) = ctx.saved_tensors
        norm = ctx.norm
        gain, offset = norm.gain.to(x.dtype), norm.offset.to(x.dtype)
        grad = torch.empty_like(x)
        sums = x.new_zeros(2, x.shape[1], dtype=torch.float64)
        for block, given, target in zip(blocks(x), blocks(grad_out), blocks(grad)):
            before_act = torch.addcmul(offset, block, gain)
            torch.ops.aten.leaky_relu_backward(given, before_act, SLOPE, False, grad_input=target)
            sums[0] += target.sum(dim=0)
            sums[1] += torch.mul(target, block, out=before_act).sum(dim=0)
        grad_shift, grad_scale = sums[0], (sums[1] - norm.mean * sums[0]) * norm.rstd
        a, b = norm.through_statistics(grad_shift, grad_scale, ctx.count, ctx.sync) if ctx.count else (None, None)
        for block, target in zip(blocks(x), blocks(grad)):
            target.mul_(gain)
            if ctx.count:
                target.sub_(a.to(x.dtype)).addcmul_(block, b.to(x.dtype), value=-1)
        return grad, grad_scale.to(x.dtype), grad_shift.to(x.dtype), None, None, None, None, None


class _NormActPool(torch.autograd.Function):
    """Maximum and mean of act(batch_norm(x)) over the points of each cloud, for scale >= 0.

    The maximum is that of x, and the mean of LeakyReLU follows from the sum of x, the sum of those x that come out
    positive, and their number: neither needs the activated rows, nor do the gradients of scale and shift.
    """

    @staticmethod
    def forward(ctx, x, scale, shift, mean, var, count, clouds, eps, sync):
        norm = _Affine(scale, shift, mean, var, eps)
        # act(gain x + offset) has slope 1 above this x
        threshold = torch.where(norm.gain > 0, -norm.offset / norm.gain, torch.copysign(norm.gain + torch.inf, -shift))
        sums = torch.stack([_cloud_sums(rows, threshold.to(x.dtype)) for rows in x.split(clouds.lengths)], dim=1)
        largest, argmax = _cloud_maxima(x, clouds)
        points = torch.tensor(clouds.lengths, dtype=torch.float64, device=x.device)[:, None]  # (B, 1)
        if clouds.weight is not None:
            first, copies = first_rows(clouds)
            row = x[first]
            is_positive = (row > threshold.to(x.dtype)).double()
            sums += copies[:, None] * torch.stack([row.double(), row * is_positive, is_positive])
            points = points + copies[:, None]
        is_flat = norm.gain == 0  # all points are equal there: the first is taken, as the published network does
        if is_flat.any():
            lengths = torch.tensor(clouds.lengths, device=x.device)
            argmax[:, is_flat] = (lengths.cumsum(0) - lengths)[:, None]
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
        step = ((1 - SLOPE) * norm.gain * grad_mean).to(x.dtype)  # (B, D), what a positive row receives beyond...
        base = (SLOPE * norm.gain * grad_mean - a).to(x.dtype)  # (B, D), ... what every row does
        grad, b, threshold = torch.empty_like(x), b.to(x.dtype), threshold.to(x.dtype)
        for number, (rows, targets) in enumerate(zip(x.split(clouds.lengths), grad.split(clouds.lengths))):
            for block, target in zip(blocks(rows), blocks(targets)):
                torch.gt(block, threshold, out=target)
                torch.addcmul(base[number], target, step[number], out=target).addcmul_(block, b, value=-1)
        if clouds.weight is not None:
            first, copies = first_rows(clouds)
            grad[first] *= (copies[:, None] + 1).to(x.dtype)
        grad.scatter_add_(0, argmax, (norm.gain * grad_max).to(x.dtype))
        return grad, grad_scale.to(x.dtype), grad_shift.to(x.dtype), None, None, None, None, None, None


def _cloud_sums(rows: Tensor, threshold: Tensor) -> Tensor:
    """Sums over the rows of x, of the x above the threshold, and their number. Shape: (N, D) -> (3, D), float64."""
    sums = rows.new_zeros(3, rows.shape[1], dtype=torch.float64)
    for block in blocks(rows):
        is_above = torch.gt(block, threshold, out=torch.empty_like(block))
        sums[0] += block.sum(dim=0)
        sums[2] += is_above.sum(dim=0)
        sums[1] += is_above.mul_(block).sum(dim=0)
    return sums


def _cloud_maxima(x: Tensor, clouds: CloudRows) -> tuple[Tensor, Tensor]:
    """Maximum over each cloud's rows, and the row of x it stands in, the first of equals. Shape: (M, D) -> two (B, D).

    By groups of rows: a maximum with its position takes several times as long as one without.
    """
    maxima, positions, start = [], [], 0
    for rows in x.split(clouds.lengths):
        padding = -len(rows) % GROUP
        groups = F.pad(rows, (0, 0, 0, padding), value=-torch.inf).unflatten(0, (-1, GROUP)).amax(dim=1)  # (N/16, D)
        largest, group = groups.max(dim=0)
        members = (group * GROUP + torch.arange(GROUP, device=x.device)[:, None]).clamp_max(len(rows) - 1)
        position = group * GROUP + rows.gather(0, members).argmax(dim=0)
        maxima.append(largest)
        positions.append(position + start)
        start += len(rows)
    return torch.stack(maxima), torch.stack(positions)


class PointwiseConv(nn.Sequential):
    """LeakyReLU(BatchNorm(W x)) of every row; `dims` is 1 or 2, the rank of the stored 1x1 convolution.

    Shape: x (M, C) -> (M, D). Parameters are named "0" (convolution, no bias) and "1" (BatchNorm), as in the
    published checkpoints; the convolution's weight keeps its shape (D, C, 1[, 1]).
    """

    def __init__(self, in_channels: int, out_channels: int, dims: int = 1):
        conv, norm = (nn.Conv1d, nn.BatchNorm1d) if dims == 1 else (nn.Conv2d, nn.BatchNorm2d)
        super().__init__(conv(in_channels, out_channels, 1, bias=False), norm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        norm = self[1]
        x = _linear(x, self[0].weight.flatten(1))
        mean, var, count = self._statistics(x)
        return _NormAct.apply(x, norm.weight, norm.bias, mean, var, count, norm.eps, is_synchronised(norm))

    def _statistics(self, x: Tensor, clouds: CloudRows | None = None, sign: Tensor | None = None):
        """Mean, variance and count of the batch, with which the running ones move; in eval mode those and 0.

        `sign` (D,) is what x was multiplied by.
        """
        norm = self[1]
        sign = 1.0 if sign is None else sign
        if not self.training:
            return norm.running_mean.double() * sign, norm.running_var.double(), 0
        with torch.no_grad():
            mean, var, count = row_statistics(x, clouds, sync=is_synchronised(norm))
        update_running(norm, mean * sign, var, count)
        return mean, var, count


class PooledConv(PointwiseConv):
    """Maximum and mean over each cloud of LeakyReLU(BatchNorm(W x)).

    Shape: x (M, C), clouds of M rows -> two (B, D). Parameters as in PointwiseConv.
    """

    def forward(self, x: Tensor, clouds: CloudRows) -> tuple[Tensor, Tensor]:
        norm = self[1]
        # A negative scale would turn maxima into minima: its channel is negated before, and the scale with it.
        sign = torch.where(norm.weight < 0, -1.0, 1.0).to(norm.weight.dtype)
        x = _linear(x, self[0].weight.flatten(1) * sign[:, None])
        mean, var, count = self._statistics(x, clouds, sign)
        scale = norm.weight * sign
        return _NormActPool.apply(x, scale, norm.bias, mean, var, count, clouds, norm.eps, is_synchronised(norm))


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    """x W^T, in at least float32 for the statistics that follow. Shape: (M, C), (D, C) -> (M, D)."""
    x = F.linear(x, weight)
    return x.to(torch.promote_types(x.dtype, torch.float32))
