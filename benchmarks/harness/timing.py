"""Times of several ways to do one thing, taken in turns in one process."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch


def wall_clock(device: torch.device) -> float:
    """Read the wall clock in seconds once `device` has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(task: Callable[[], object], device: torch.device) -> float:
    """Measure the wall time of one call, up to the end of what it started on `device`."""
    start = wall_clock(device)
    task()
    return wall_clock(device) - start


def in_turns(tasks: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    """Return the median wall time of each task in seconds, measured as `medians` does."""
    return medians(tasks, rounds, lambda: wall_clock(device))


def medians(tasks: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], Any]) -> dict[str, Any]:
    """Return what each task takes: the median of `rounds` calls, made A B A B ... after a warm-up call of each.

    Args:
        clock: reads the time, or an array of several clocks.
    """
    times: dict[str, list] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            start = clock()
            task()
            times[name].append(clock() - start)
    return {name: np.median(values[1:], axis=0).tolist() for name, values in times.items()}
