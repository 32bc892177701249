"""Optimisers and the schedule."""

import itertools
import math

import pytest
import torch

from utils.training.optim import build_optimizer, cosine_schedule, published_finetune_schedule


def rates(num_steps, lr=0.5, final=0.0):
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(2))], lr=lr)
    schedule = cosine_schedule(optimizer, num_steps, final)
    seen = []
    for _ in range(num_steps):
        seen.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return seen


def test_the_first_step_runs_at_the_initial_rate_and_the_last_above_zero():
    seen = rates(40)
    assert seen[0] == 0.5
    assert seen[-1] > 0
    assert all(a > b for a, b in itertools.pairwise(seen))


def test_rates_follow_the_cosine():
    assert rates(8)[3] == pytest.approx(0.25 * (1 + math.cos(math.pi * 3 / 8)))


def test_rates_fall_towards_the_final_share():
    seen = rates(8, final=0.2)
    assert seen[0] == 0.5
    assert seen[3] == pytest.approx(0.1 + 0.2 * (1 + math.cos(math.pi * 3 / 8)))
    assert 0.1 < seen[-1] < 0.125


@pytest.mark.parametrize(("use_sgd", "kind"), [(False, torch.optim.Adam), (True, torch.optim.SGD)])
def test_use_sgd_chooses_the_optimiser(use_sgd, kind):
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(2))], lr=0.1, use_sgd=use_sgd, momentum=0.8)
    assert type(optimizer) is kind
    assert optimizer.defaults.get("momentum", 0.8) == 0.8


@pytest.mark.parametrize("name", ["cos", "step"])
def test_the_fine_tuning_schedules_are_torchs_epoch_by_epoch(name):
    epochs, steps, lr = 67, 3, 0.1
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=lr)
    published = {
        "cos": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(theirs, epochs, eta_min=1e-3),
        "step": lambda: torch.optim.lr_scheduler.StepLR(theirs, step_size=20, gamma=0.5),
    }[name]()
    ours = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=lr)
    schedule = published_finetune_schedule(ours, name, epochs=epochs, steps=steps)
    for _ in range(epochs):
        for _ in range(steps):
            assert schedule.get_last_lr() == pytest.approx(published.get_last_lr())
            ours.step()
            schedule.step()
        theirs.step()
        published.step()


@pytest.mark.parametrize("name", ["cos", "step"])
def test_a_fine_tuning_schedule_never_rises_above_its_start(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=1e-6)
    schedule = published_finetune_schedule(optimizer, name, epochs=100, steps=1)
    for _ in range(100):
        assert schedule.get_last_lr() == pytest.approx([1e-6])
        optimizer.step()
        schedule.step()
