"""Files a run writes: weights under published names, and one state from which training resumes exactly."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from models.weights.published import read_weights
from utils.files import write_atomically
from utils.run.names import DAMAGED_FILE, PREVIOUS_FILE, STATE_FILE

_NEEDED = {
    "method", "optimizer", "schedule", "scaler", "rng", "progress", "best", "seconds", "bad_samples", "config",
}  # fmt: skip


def save_atomically(value: object, path: Path) -> None:
    """torch.save by `write_atomically`: a kill or a full disk leaves the previous file as it was."""
    write_atomically(path, lambda stream: torch.save(value, stream))


def rng_state() -> dict[str, torch.Tensor | list[torch.Tensor]]:
    """State of this process's torch generators, the only global ones that training draws from: CPU, current GPU."""
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore_rng(state: dict[str, torch.Tensor | list[torch.Tensor]]) -> None:
    """Put back what `rng_state` returned; that of a GPU only where there is one."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"][0])


def save_state(state: dict, run_dir: Path) -> None:
    """Write a run's resumable state whole, or not at all; the one before is kept as PREVIOUS_FILE.

    Raises:
        OSError: no space, no permission; both files are as they were.
    """
    path = run_dir / STATE_FILE
    write_atomically(path, lambda stream: torch.save(state, stream), previous=run_dir / PREVIOUS_FILE)


def has_state(run_dir: Path) -> bool:
    """Whether there is anything to resume."""
    return any((run_dir / name).is_file() for name in (STATE_FILE, PREVIOUS_FILE))


def load_state(run_dir: Path, report: Callable[[str], None]) -> tuple[Path, dict]:
    """The newest resumable state of a run that can be read, and its file.

    Args:
        report: told when the newest is damaged and the one before is taken.
    Raises:
        FileNotFoundError: the run has none.
        ValueError: all are damaged, or no such states.
    """
    found = [run_dir / name for name in (STATE_FILE, PREVIOUS_FILE) if (run_dir / name).is_file()]
    if not found:
        raise FileNotFoundError(f"nothing to resume: no {run_dir / STATE_FILE}; start without --resume")
    faults = []
    for path in found:
        try:
            state = _read_state(path)
        except ValueError as error:
            faults.append(str(error))
            continue
        for fault in faults:
            report(f"warning: {fault}; going on from {path}, the state before it")
        return path, state
    raise ValueError("; ".join(faults))


def set_aside_damaged(run_dir: Path, read: Path) -> None:
    """Once the state before was read in place of a damaged newest, keep that under DAMAGED_FILE.

    Left where it is, the next state saved would make it the previous one, over the only sound state.
    """
    newest = run_dir / STATE_FILE
    if read != newest and newest.exists():
        os.replace(newest, run_dir / DAMAGED_FILE)


def _read_state(path: Path) -> dict:
    state = read_weights(path)
    missing = _NEEDED - state.keys()
    if missing and "next_epoch" in state:
        raise ValueError(
            f"{path} was written by an earlier version, whose states held no step: resume it with that version's code, "
            "or start from its weights by --model_path or --pretrained_path under another --exp_name"
        )
    if missing:
        raise ValueError(f"{path} is no training state of ours: it has no {', '.join(sorted(missing))}")
    return state
