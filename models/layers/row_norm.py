"""Pointwise convolution, BatchNorm and LeakyReLU of rows, without intermediate tensors.

On a CPU such passes are bound by memory, so they process the rows in blocks that stay in the processor's cache.

Letters: M rows, D channels, B clouds.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.affine import SLOPE, Affine
from models.distributed import all_reduce_statistics, is_synchronised, update_running
from models.kernels import can_run
from models.rows import CloudRows

BLOCK = 2**19  # elements in a block of rows: 2 MiB of float32
GROUP = 16  # rows of a group, whose maximum is taken first


def blocks(x: Tensor) -> Iterator[Tensor]:
    """Split x into blocks of consecutive rows on a CPU; elsewhere yield it whole."""
    return iter(x.split(max(1, BLOCK // x.shape[1])) if x.device.type == "cpu" else (x,))


def row_statistics(x: Tensor, clouds: CloudRows | None = None, *, sync: bool = False) -> tuple[Tensor, Tensor, int]:
    """Return mean and biased variance of every channel, in float64, and the number of samples.

    Args:
        x: (M, D).
        clouds: their `weight` counts the samples of a row; None means one each.
        sync: over the rows of all ranks.
    """
    origin = next(blocks(x)).mean(dim=0)  # sums around it do not cancel
    sums = _sums_around(origin, x)
    count = len(x)
    if clouds is not None and clouds.weight is not None:
        first, copies = clouds.merged_rows()
        centred = (x[first] - origin).double()  # (B, D)
        sums += torch.stack([copies @ centred, copies @ centred.square()])
        count += int(copies.sum())
    offset, square = sums / count
    mean, var = origin + offset, (square - offset * offset).clamp_min(0)
    if not sync:
        return mean, var, count
    return all_reduce_statistics(mean, var, count)


def _sums_around(origin: Tensor, x: Tensor) -> Tensor:
    """Sum x - origin and its square over the rows, in float64. Shape: (D,), (M, D) -> (2, D)."""
    if can_run(x):
        from models.kernels.pooled_norm import column_sums

        return column_sums(x, origin)
    sums = x.new_zeros(2, x.shape[1], dtype=torch.float64)
    for block in blocks(x):
        centred = block - origin
        sums[0] += centred.sum(dim=0)
        sums[1] += centred.square_().sum(dim=0)
    return sums


class _NormAct(torch.autograd.Function):
    """act(batch_norm(x)) of rows and its maximum over each cloud, None without `clouds`.

    act(x) is x above 0 and slope * x below: 0 gives ReLU, 1 no activation. Saves only x, and where the maxima are, for
    the backward pass. A `count` of 0 means fixed statistics.
    """

    @staticmethod
    def forward(ctx, x, scale, shift, mean, var, count, clouds, eps, sync, slope):
        norm = Affine(scale, shift, mean, var, eps)
        ctx.norm, ctx.count, ctx.sync, ctx.slope = norm, count, sync, slope
        gain, offset = norm.gain.to(x.dtype), norm.offset.to(x.dtype)
        out = torch.empty_like(x)
        for block, target in zip(blocks(x), blocks(out)):
            F.leaky_relu_(torch.addcmul(offset, block, gain, out=target), slope)
        largest, argmax = (None, None) if clouds is None else cloud_maxima(out, clouds)
        ctx.save_for_backward(x, argmax)
        return out, largest

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out, grad_largest):
        x, argmax = ctx.saved_tensors
        norm = ctx.norm
        gain, offset = norm.gain.to(x.dtype), norm.offset.to(x.dtype)
        grad = torch.empty_like(x)
        sums = x.new_zeros(2, x.shape[1], dtype=torch.float64)
        for block, given, target in zip(blocks(x), blocks(grad_out), blocks(grad)):
            before_act = torch.addcmul(offset, block, gain)
            torch.ops.aten.leaky_relu_backward(given, before_act, ctx.slope, False, grad_input=target)
            sums[0] += target.sum(dim=0)
            sums[1] += torch.mul(target, block, out=before_act).sum(dim=0)
        if argmax is not None:
            row = x.gather(0, argmax)  # (B, D)
            at_maximum = torch.ops.aten.leaky_relu_backward(
                grad_largest, torch.addcmul(offset, row, gain), ctx.slope, False
            )
            sums += torch.stack([at_maximum.sum(dim=0), (at_maximum * row).sum(dim=0)])
            grad.scatter_add_(0, argmax, at_maximum)
        grad_shift, grad_scale = sums[0], (sums[1] - norm.mean * sums[0]) * norm.rstd
        a, b = norm.through_statistics(grad_shift, grad_scale, ctx.count, ctx.sync) if ctx.count else (None, None)
        for block, target in zip(blocks(x), blocks(grad)):
            target.mul_(gain)
            if ctx.count:
                target.sub_(a.to(x.dtype)).addcmul_(block, b.to(x.dtype), value=-1)
        return grad, grad_scale.to(x.dtype), grad_shift.to(x.dtype), *[None] * 7


def cloud_maxima(x: Tensor, clouds: CloudRows) -> tuple[Tensor, Tensor]:
    """Return each cloud's maximum and the row of x that holds it, the first on a tie. Shape: (M, D) -> two (B, D).

    On a CPU it works on groups of rows, because a maximum with its position takes several times as long as one without.
    """
    if x.device.type != "cpu" and clouds.are_equal:
        largest, place = clouds.batched(x).max(dim=1)
        return largest, place + clouds.first_rows(x.device)[:, None]
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


def max_over_clouds(x: Tensor, num_clouds: int) -> Tensor:
    """Return the maximum over each of `num_clouds` clouds of equal size. Shape: (M, D) -> (B, D).

    The gradient goes to the first row that attains it: `amax` would compare all rows in its backward pass.
    """
    clouds = CloudRows([len(x) // num_clouds] * num_clouds)
    return x.gather(0, cloud_maxima(x.detach(), clouds)[1])


class PointwiseConv(nn.Sequential):
    """LeakyReLU(BatchNorm(W x)) of every row; `dims` is 1 or 2, the rank of the stored 1x1 convolution.

    Shape: x (M, C) -> (M, D). Parameters are named "0" (convolution, no bias) and "1" (BatchNorm), as in the
    published checkpoints; the convolution's weight keeps its shape (D, C, 1[, 1]).
    """

    def __init__(self, in_channels: int, out_channels: int, dims: int = 1):
        conv, norm = (nn.Conv1d, nn.BatchNorm1d) if dims == 1 else (nn.Conv2d, nn.BatchNorm2d)
        super().__init__(conv(in_channels, out_channels, 1, bias=False), norm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(linear(x, self[0].weight.flatten(1)))

    def rows_and_maxima(self, x: Tensor, clouds: CloudRows) -> tuple[Tensor, Tensor]:
        """Return what the layer gives for every row, and its maximum over each cloud. Shape: (M, C) -> (M, D), (B, D).

        The gradient of a maximum goes to the first row that attains it. `clouds` have a row for every point.
        """
        return self._normalise(linear(x, self[0].weight.flatten(1)), clouds)

    def with_context(self, x: Tensor, context: Tensor, *, is_first: bool = False) -> Tensor:
        """Return what the layer gives for rows joined with what all rows of their cloud share.

        The context is multiplied once per cloud, not once per row.

        Shape: x (B * N, C), context (B, E) -> (B * N, D), of clouds of equal size.

        Args:
            is_first: whether the weights of the context come before those of the row.
        """
        sizes = [x.shape[1], context.shape[1]]
        parts = self[0].weight.flatten(1).split(sizes[::-1] if is_first else sizes, dim=1)
        own, shared = parts[::-1] if is_first else parts
        joined = F.linear(x, own).unflatten(0, (len(context), -1)) + F.linear(context, shared)[:, None]
        return self.normalise(joined.flatten(0, 1).to(torch.promote_types(joined.dtype, torch.float32)))

    def normalise(self, x: Tensor) -> Tensor:
        """Apply BatchNorm and LeakyReLU to what was already convolved. Shape: (M, D) -> (M, D)."""
        return self._normalise(x, None)[0]

    def _normalise(self, x: Tensor, clouds: CloudRows | None) -> tuple[Tensor, Tensor | None]:
        return norm_act(x, self[1], SLOPE, clouds)

    def statistics(self, x: Tensor, clouds: CloudRows | None = None, sign: Tensor | None = None):
        """Return mean, variance and count of the batch and update the running ones; in eval mode return those, and 0.

        `sign` (D,) is the factor that x was multiplied by.
        """
        return norm_statistics(x, self[1], clouds, sign)


def norm_act(x: Tensor, norm: nn.Module, slope: float, clouds: CloudRows | None = None) -> tuple[Tensor, Tensor | None]:
    """Apply a BatchNorm of any number of dimensions to rows, then an activation.

    Args:
        x: (M, D).
        slope: below 0; 0 gives ReLU, 1 no activation.
        clouds: whose maxima are wanted.
    Returns:
        (M, D), and the maximum over each cloud (B, D), None without `clouds`.
    """
    mean, var, count = norm_statistics(x, norm)
    sync = is_synchronised(norm)
    return _NormAct.apply(x, norm.weight, norm.bias, mean, var, count, clouds, norm.eps, sync, slope)


def norm_statistics(
    x: Tensor, norm: nn.Module, clouds: CloudRows | None = None, sign: Tensor | float | None = None
) -> tuple[Tensor, Tensor, int]:
    """Return mean, variance and count of the batch and update the running ones; in eval mode return those, and 0.

    `sign` (D,) is the factor that x was multiplied by.
    """
    sign = 1.0 if sign is None else sign
    if not norm.training:
        return norm.running_mean.double() * sign, norm.running_var.double(), 0
    with torch.no_grad():
        mean, var, count = row_statistics(x, clouds, sync=is_synchronised(norm))
    update_running(norm, mean * sign, var, count)
    return mean, var, count


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b in at least float32, for the statistics that follow. Shape: (M, C), (D, C), (D,) -> (M, D)."""
    x = F.linear(x, weight, bias)
    return x.to(torch.promote_types(x.dtype, torch.float32))
