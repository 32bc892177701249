"""Collectives that models use: synchronised BatchNorm statistics, and the gathered rows of a contrastive batch.

Each rank minimises the mean over its own rows of a loss that depends on the rows of all ranks, and
DistributedDataParallel averages the gradients. So collectives here sum gradients over ranks in their backward pass, and
the result is the gradient of one process that holds all rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable


def get_world_size() -> int:
    """Return the number of ranks; 1 outside a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def get_rank() -> int:
    """Return this process's rank; 0 outside a process group."""
    return distributed.get_rank() if get_world_size() > 1 else 0


def is_synchronised(norm: nn.Module) -> bool:
    """Whether a layer computes statistics over all ranks: a SyncBatchNorm in train mode, with more than one rank."""
    return norm.training and isinstance(norm, (SyncBatchNorm, nn.SyncBatchNorm)) and get_world_size() > 1


def all_reduce_sum(value: Tensor) -> Tensor:
    """Sum a tensor over all ranks; the backward pass sums gradients likewise."""
    return _Total.apply(value)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        value = value.clone()
        distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx, grad):
        grad = grad.clone()
        distributed.all_reduce(grad)
        return grad


def all_reduce_statistics(mean: Tensor, var: Tensor, count: int) -> tuple[Tensor, Tensor, int]:
    """Merge mean, biased variance and number of samples of all ranks. Shape: (D,) float64."""
    sums = all_reduce_sum(torch.cat([mean, var + mean * mean, mean.new_ones(1)]) * count)
    count = int(sums[-1])
    mean, square = sums[:-1].view(2, -1) / count
    return mean, (square - mean * mean).clamp_min(0), count


@torch.no_grad()
def update_running(norm: nn.Module, mean: Tensor, var: Tensor, count: int) -> None:
    """Update BatchNorm's running statistics as torch does: exponential average, unbiased variance of `count` samples.

    Raises:
        ValueError: fewer than 2 samples.
    """
    if count < 2:
        raise ValueError("training-mode BatchNorm needs at least 2 samples; raise --batch_size")
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_((var * count / (count - 1)).to(norm.running_var.dtype), norm.momentum)


def gather_rows(rows: Tensor) -> Tensor:
    """Gather the rows of all ranks, in rank order; outside a process group return them unchanged.

    Shape: (B, ...), the same B on every rank -> (W * B, ...). The gradient of a row is the sum over ranks.
    """
    return _GatherRows.apply(rows) if get_world_size() > 1 else rows


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows):
        parts = [torch.empty_like(rows) for _ in range(get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        grad = grad.contiguous().clone()
        distributed.all_reduce(grad)
        return grad.chunk(get_world_size())[get_rank()]


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over all ranks on a CPU, which torch's own does not support; same parameters and buffers.

    Shape: (B, C, ...) -> the same.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Accept any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        if not is_synchronised(self):
            return super().forward(x)
        mean, var, count = self._statistics(x.detach())
        update_running(self, mean, var, count)
        return _NormaliseTogether.apply(x, self.weight, self.bias, mean, var, count, self.eps)

    @staticmethod
    def _statistics(x: Tensor) -> tuple[Tensor, Tensor, int]:
        wide = x if x.dtype == torch.float64 else x.float()  # bfloat16 would round the statistics
        var, mean = torch.var_mean(wide, dim=[0, *range(2, x.ndim)], correction=0)
        return all_reduce_statistics(mean.double(), var.double(), x.numel() // x.shape[1])


class _NormaliseTogether(torch.autograd.Function):
    """BatchNorm with statistics over all ranks, differentiated through them. Saves only x."""

    @staticmethod
    def forward(ctx, x, weight, bias, mean, var, count, eps):
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(var + eps))
        ctx.count = count
        return F.batch_norm(x, mean.to(weight.dtype), var.to(weight.dtype), weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight, mean, rstd = ctx.saved_tensors
        x_type, x, grad = x.dtype, x.to(weight.dtype), grad.to(weight.dtype)  # may be autocast's type
        axes = [0, *range(2, x.ndim)]

        def per_channel(values: Tensor) -> Tensor:
            return values.to(x.dtype).view(1, -1, *[1] * (x.ndim - 2))

        centred = x - per_channel(mean)
        of_bias = grad.sum(axes, dtype=torch.float64)
        of_weight = (grad * centred).sum(axes, dtype=torch.float64) * rstd
        everywhere = torch.stack([of_bias, of_weight])
        distributed.all_reduce(everywhere)
        shift, slope = everywhere / ctx.count
        grad_x = (grad - per_channel(shift) - centred * per_channel(slope * rstd)) * per_channel(weight * rstd)
        return grad_x.to(x_type), of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, None, None, None


def convert_batch_norms(module: nn.Module) -> None:
    """Replace every BatchNorm below a module by one over all ranks that shares its parameters and buffers."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, _synchronised(child))
        else:
            convert_batch_norms(child)


def _synchronised(norm: nn.Module) -> nn.Module:
    kind = SyncBatchNorm if norm.weight.device.type == "cpu" else nn.SyncBatchNorm
    with torch.device("meta"):
        made = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    made.weight, made.bias = norm.weight, norm.bias
    made.running_mean, made.running_var = norm.running_mean, norm.running_var
    made.num_batches_tracked = norm.num_batches_tracked
    return made.train(norm.training)
