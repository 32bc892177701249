"""Optimisers and the learning-rate schedule of pre-training."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

WEIGHT_DECAY = 1e-6  # of the published code; the value in its paper could not be verified


def build_optimizer(
    parameters: Iterable[nn.Parameter], *, lr: float, use_sgd: bool = False, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """Adam as published, or SGD with momentum at the same rate (`--use_sgd`)."""
    parameters = [p for p in parameters if p.requires_grad]
    if use_sgd:
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=WEIGHT_DECAY, fused=True)
    return torch.optim.Adam(parameters, lr=lr, weight_decay=WEIGHT_DECAY, fused=True)


def cosine_schedule(optimizer: torch.optim.Optimizer, num_steps: int) -> LambdaLR:
    """Cosine from the initial rate towards 0 over `num_steps` optimiser steps, the last of them still above 0.

    A function of the step alone: step t of T runs at lr * (1 + cos(pi t / T)) / 2, t = 0 .. T - 1. The published
    code steps its schedule before the first epoch, so that its last epoch runs at rate 0 and learns nothing.
    """
    return LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(step / num_steps, 1))))
