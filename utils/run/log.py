"""The reports of a run: console, run.log, metrics.jsonl and, on request, Weights & Biases."""

import fcntl
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TextIO

import torch

from utils.run.names import LOG_FILE, METRICS_FILE

CLAIM_S = 30  # patience for a run folder that another process holds
WANDB_MODES = ("off", "disabled", "offline", "online")
# Patience with an unreachable W&B at the start and at the end of a run; in between metrics queue in the background.
WANDB_START_S = 20
WANDB_FINISH_S = 30


class RunLog:
    """Write lines to the console and `run.log`, metrics to `metrics.jsonl` and W&B.

    Args:
        run_dir: folder of the run. Files are appended to, after a truncated last line of metrics.jsonl is dropped.
        wandb_mode: "off" (default, W&B not imported), "disabled", "offline" or "online". Only "online" needs an
            account; a failure to reach W&B is reported, never stops the run and delays it by less than a minute.
        name, config: shown by W&B.
    Raises:
        ValueError: another training writes to the folder.
    """

    def __init__(self, run_dir: Path, *, wandb_mode: str = "off", name: str = "", config: dict | None = None):
        self._lines = open(run_dir / LOG_FILE, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        _claim(self._lines)
        _end_line(run_dir / METRICS_FILE)  # only now: the file may have belonged to a training still writing it
        self._metrics = open(run_dir / METRICS_FILE, "a", encoding="utf-8")  # noqa: SIM115
        self._wandb = None
        if wandb_mode != "off":
            self._start_wandb(run_dir, wandb_mode, name, config)

    def _start_wandb(self, run_dir: Path, mode: str, name: str, config: dict | None) -> None:
        try:
            import wandb

            limits = wandb.Settings(
                init_timeout=WANDB_START_S, finish_timeout=WANDB_FINISH_S, finish_timeout_raises=True
            )
            self._wandb = wandb.init(
                project="crosspoint", name=name, dir=run_dir, mode=mode, config=config, settings=limits
            )
        except Exception as error:  # a fault of the tracker is not a fault of the run
            self.line(f"warning: W&B is off for this run: {_first_line(error)}")

    def line(self, text: str) -> None:
        """Print one line and keep it in run.log with the time of day (UTC)."""
        print(text, flush=True)
        self._lines.write(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} {text}\n")
        self._lines.flush()

    def metrics(self, values: dict[str, float | int]) -> None:
        """Append one object to metrics.jsonl and send it to W&B when that is on."""
        self._metrics.write(json.dumps(values) + "\n")
        self._metrics.flush()
        if self._wandb is not None:
            try:
                self._wandb.log(values)
            except Exception as error:  # as above
                self.line(f"warning: W&B stopped taking metrics: {_first_line(error)}")
                self._wandb = None

    def close(self) -> None:
        """Flush and close the files; end the W&B run."""
        if self._wandb is not None:
            try:
                self._wandb.finish()
            except Exception as error:  # as above
                self.line(f"warning: W&B did not take the last metrics: {_first_line(error)}")
        self._lines.close()
        self._metrics.close()


def _end_line(path: Path) -> None:
    """Drop a truncated last line: the state of its epoch was to be saved after it, so the epoch is trained again."""
    if path.is_file():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _claim(file: TextIO) -> None:
    """Lock the log while it is open, because two trainings in one folder would ruin each other's states.

    Loader workers of a killed training keep the lock for some seconds.
    """
    try:
        for _ in range(CLAIM_S * 10):
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
    except OSError:  # a file system without locks
        return None
    file.close()
    raise ValueError(f"{file.name} is in use by another training; wait for it, end it, or take another --exp_name")


class NoLog:
    """Discard all reports: the log of every rank but the main process."""

    def line(self, text: str) -> None:
        """Discard a line."""

    def metrics(self, values: dict[str, float | int]) -> None:
        """Discard metrics."""

    def close(self) -> None:
        """Do nothing."""


def peak_memory_mib(device: torch.device) -> float:
    """Return the highest memory so far in MiB: allocated on a CUDA device, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def is_terminal() -> bool:
    """Return whether anybody would see a progress bar: stderr is a terminal and CI is not set."""
    return sys.stderr.isatty() and not os.environ.get("CI")
