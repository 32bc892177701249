"""Wall times of several ways to do one thing, taken in turns in one process."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def seconds(task: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call, up to the end of what it started on `device`."""
    _wait(device)
    start = time.perf_counter()
    task()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turns(tasks: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each task, measured A B A B ... after one call of each that does not count."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            times[name].append(seconds(task, device))
    return {name: statistics.median(values[1:]) for name, values in times.items()}
