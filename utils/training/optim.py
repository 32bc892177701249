"""Optimisers, learning-rate schedules, and the schedule of BatchNorm's momentum."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

STEP_EPOCHS, STEP_FACTOR = 20, 0.7  # of selfsup_pcd (Tran et al. 2022, arXiv:2210.15904)
STEP_WORDS = f"times {STEP_FACTOR} every {STEP_EPOCHS} epochs"
NORM_MOMENTUM, LEAST_NORM_MOMENTUM = 0.1, 0.01
WEIGHT_DECAY = 1e-6  # of the published pre-training; the value in its paper could not be verified


def build_optimizer(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    use_sgd: bool = False,
    momentum: float = 0.9,
    weight_decay: float = WEIGHT_DECAY,
) -> torch.optim.Optimizer:
    """Adam as published, or SGD with momentum at the same rate (`--use_sgd`)."""
    parameters = [p for p in parameters if p.requires_grad]
    if use_sgd:
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)


def cosine_schedule(optimizer: torch.optim.Optimizer, num_steps: int, final: float = 0.0) -> LambdaLR:
    """Cosine from the initial rate towards a final one over `num_steps` optimiser steps, the last of them still above.

    A function of the step alone: step t of T runs at lr * (f + (1 - f) (1 + cos(pi t / T)) / 2), t = 0 .. T - 1. The
    published code steps its schedule before the first epoch, so that its last epoch runs at rate 0 and learns nothing.

    Args:
        final: f, the final rate as a share of the initial one.
    """
    return LambdaLR(
        optimizer, lambda step: final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(step / num_steps, 1)))
    )


def step_schedule(optimizer: torch.optim.Optimizer, steps: int, final: float = 0.0) -> LambdaLR:
    """Multiply the rate by STEP_FACTOR every STEP_EPOCHS epochs; a function of the step alone, as `cosine_schedule`.

    Args:
        steps: optimiser steps in an epoch.
        final: the least rate, as a share of the initial one.
    """
    return LambdaLR(optimizer, lambda step: max(STEP_FACTOR ** (step // steps // STEP_EPOCHS), final))


def set_norm_momentum(
    module: nn.Module, epoch: int, initial: float = NORM_MOMENTUM, least: float = LEAST_NORM_MOMENTUM
) -> None:
    """Set the momentum of every BatchNorm for an epoch: `initial`, halved every STEP_EPOCHS epochs, at least `least`.

    It is the share of a batch in the running statistics, the complement of TensorFlow's decay.
    """
    momentum = max(initial * 0.5 ** (epoch // STEP_EPOCHS), least)
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.momentum = momentum


def published_finetune_schedule(optimizer: torch.optim.Optimizer, name: str, *, epochs: int, steps: int) -> LambdaLR:
    """The schedules of DGCNN's part segmentation, which CrossPoint fine-tunes with; constant within an epoch.

    "cos" falls from the initial rate r towards 1e-3: epoch e of E runs at 1e-3 + (r - 1e-3) (1 + cos(pi e / E)) / 2,
    and at r throughout where r is 1e-3 or less. "step" halves the rate every 20 epochs, down to 1e-5.

    Args:
        optimizer: at the initial rate.
        name: a key of FINETUNE_SCHEDULES.
        epochs: E.
        steps: optimiser steps in an epoch; the schedule moves once a step.
    """
    initial = optimizer.param_groups[0]["lr"]
    rate = FINETUNE_SCHEDULES[name]
    return LambdaLR(optimizer, lambda step: rate(initial, step // steps, epochs) / initial)


def _cosine_to_floor(initial: float, epoch: int, epochs: int) -> float:
    floor = min(1e-3, initial)
    return floor + (initial - floor) * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def _halved_every_20(initial: float, epoch: int, epochs: int) -> float:
    return max(initial * 0.5 ** (epoch // 20), min(1e-5, initial))


FINETUNE_SCHEDULES = {"cos": _cosine_to_floor, "step": _halved_every_20}
