import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from utils.training.optim import build_optimizer, cosine_schedule, published_finetune_schedule


def sgd(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=lr)


def rates(schedule, num_steps):
    """Return the rate of each step."""
    seen = []
    for _ in range(num_steps):
        seen += schedule.get_last_lr()
        schedule.optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("final", [0.0, 0.2])
def test_rates_follow_the_cosine_from_the_initial_one_towards_the_final_share(final):
    expected = [0.5 * (final + (1 - final) * (1 + math.cos(math.pi * step / 8)) / 2) for step in range(8)]
    assert rates(cosine_schedule(sgd(0.5), 8, final), 8) == pytest.approx(expected)


@pytest.mark.parametrize(("use_sgd", "kind"), [(False, torch.optim.Adam), (True, torch.optim.SGD)])
def test_use_sgd_chooses_the_optimiser(use_sgd, kind):
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(2))], lr=0.1, use_sgd=use_sgd, momentum=0.8)
    assert type(optimizer) is kind
    assert optimizer.defaults["lr"] == 0.1
    assert optimizer.defaults.get("momentum", 0.8) == 0.8


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("cos", lambda optimizer: CosineAnnealingLR(optimizer, 67, eta_min=1e-3)),
        ("step", lambda optimizer: StepLR(optimizer, step_size=20, gamma=0.5)),
    ],
)
def test_the_fine_tuning_schedules_are_torchs_epoch_by_epoch_and_never_rise_above_their_start(name, published):
    theirs = rates(published(sgd(0.1)), 67)
    ours = rates(published_finetune_schedule(sgd(0.1), name, epochs=67, steps=3), 67 * 3)
    assert ours == pytest.approx(np.repeat(theirs, 3))
    slow = published_finetune_schedule(sgd(1e-6), name, epochs=100, steps=1)
    assert rates(slow, 100) == pytest.approx([1e-6] * 100)
