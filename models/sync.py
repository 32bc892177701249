"""BatchNorm statistics over the processes of a distributed run."""

import torch
from torch import Tensor, distributed, nn


def is_synchronised(norm: nn.Module) -> bool:
    """Whether a layer takes its statistics over all processes: a SyncBatchNorm in training, among several."""
    several = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
    return several and norm.training and isinstance(norm, nn.SyncBatchNorm)


def total(value: Tensor) -> Tensor:
    """Sum of a tensor over all processes; its gradient is the sum of theirs."""
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
