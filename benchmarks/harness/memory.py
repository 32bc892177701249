"""Peak memory of a task, measured in a process of its own."""

import json
import resource
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.harness.timing import seconds
from utils.cli import USER_ERROR

_IS_FULL = 3  # exit status of a process that ran out of memory


def restart_peak(device: torch.device) -> float:
    """Reset the peak of `peak` and return the memory in use in MiB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    Path("/proc/self/clear_refs").write_text("5")
    return _kib("/proc/self/status", "VmRSS") / 2**10


def peak(device: torch.device) -> float:
    """Return the peak memory in MiB since `restart_peak`: allocated on a CUDA device, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return _kib("/proc/self/status", "VmHWM") / 2**10


def _kib(path: str, name: str) -> int:
    """Read a size in KiB from a file under /proc."""
    lines = dict(line.split(":", 1) for line in Path(path).read_text().splitlines())
    return int(lines[name].split()[0])


def print_usage(task: Callable[[], object], device: torch.device, calls: int = 3) -> None:
    """Print what `run_alone` reads: peak MiB of the calls beyond the memory in use, and their median seconds."""
    before = restart_peak(device)
    times = [seconds(task, device) for _ in range(calls)]
    print(json.dumps({"mib": peak(device) - before, "seconds": statistics.median(times)}))


def run_alone(module: str, flags: Sequence[object]) -> dict[str, float] | None:
    """Run `python -m module flags`, which ends in `print_usage`, and return its figures.

    Returns:
        "mib" and "seconds", or None when the process ran out of memory.
    Raises:
        ValueError: the program refused its flags.
        RuntimeError: the program failed otherwise.
    """
    done = subprocess.run([sys.executable, "-m", module, *map(str, flags)], capture_output=True, text=True)
    if done.returncode in (_IS_FULL, -signal.SIGKILL):  # the kernel kills a process when the machine is full
        return None
    if done.returncode == USER_ERROR:
        raise ValueError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, done.args))} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def ends_when_full(device: torch.device) -> Iterator[None]:
    """Limit this process to the memory that is free now; beyond it, exit with the status that `run_alone` expects.

    Threads must have been started and libraries loaded before. Without the limit the kernel would choose a process to
    kill when the CPU's memory is full.
    """
    if device.type == "cpu":
        limit = 1024 * (_kib("/proc/self/status", "VmSize") + _kib("/proc/meminfo", "MemAvailable"))
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_full = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
        if not is_full:
            raise
        sys.exit(_IS_FULL)
