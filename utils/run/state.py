"""The state from which a training resumes exactly: written whole, read without running code, damage survived."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from models.weights.weight_file import read_weights
from utils.files import write_atomically
from utils.run.names import DAMAGED_FILE, PREVIOUS_FILE, STATE_FILE

_NEEDED = {
    "method", "optimizer", "schedule", "scaler", "rng", "progress", "best", "seconds", "bad_samples", "config",
}  # fmt: skip

RngState = dict[str, torch.Tensor | list[torch.Tensor]]


def save_atomically(value: object, path: Path) -> None:
    """Write a file by torch.save such that a kill or a full disk leaves the previous one as it was."""
    write_atomically(path, lambda stream: torch.save(value, stream))


def rng_state() -> RngState:
    """Return the state of torch's CPU and current GPU generators, the only global ones that training draws from."""
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore_rng(state: RngState) -> None:
    """Put back what `rng_state` returned; a GPU's only where there is a GPU."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"][0])


def save_state(state: dict, folder: Path) -> None:
    """Write a run's state whole, or not at all; the one before is kept as PREVIOUS_FILE.

    Raises:
        OSError: no space, no permission; both files are as they were.
    """
    path = folder / STATE_FILE
    write_atomically(path, lambda stream: torch.save(state, stream), previous=folder / PREVIOUS_FILE)


def has_state(folder: Path) -> bool:
    """Return whether there is anything to resume."""
    return any((folder / name).is_file() for name in (STATE_FILE, PREVIOUS_FILE))


def load_state(folder: Path, report: Callable[[str], None]) -> tuple[Path, dict]:
    """Read the newest state of a run that is sound; return its file too.

    Args:
        report: receives a warning where the newest is damaged and the one before is taken.
    Raises:
        FileNotFoundError: the run has none.
        ValueError: all are damaged, or are not states of ours.
    """
    found = [folder / name for name in (STATE_FILE, PREVIOUS_FILE) if (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(f"nothing to resume: no {folder / STATE_FILE}; start without --resume")
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


def set_aside_damaged(folder: Path, read: Path) -> None:
    """Rename a damaged newest state to DAMAGED_FILE once the state before it has been read.

    Left in place, it would become the previous state at the next save and replace the only sound one.
    """
    newest = folder / STATE_FILE
    if read != newest and newest.exists():
        os.replace(newest, folder / DAMAGED_FILE)


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
