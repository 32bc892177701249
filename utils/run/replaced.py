"""The run that --overwrite replaces: kept until the new one has saved a state, put back where that ends before.

A kill at any moment leaves at most one of two folders in that of the run, which say whose the files beside them are:
REPLACED_FOLDER those of the new run, all of the run before being in it; _MOVING those of the run before, of which some
are in it.
"""

import os
import shutil
from pathlib import Path

from utils.run.names import (
    CONFIG_FILE,
    DAMAGED_FILE,
    FEATURES_FOLDER,
    METRICS_FILE,
    MODELS_FOLDER,
    PICTURES,
    PREVIOUS_FILE,
    REPLACED_FOLDER,
    RESULTS_FILE,
    STATE_FILE,
)
from utils.run.state import has_state

_FILES = (CONFIG_FILE, STATE_FILE, PREVIOUS_FILE, DAMAGED_FILE, METRICS_FILE, RESULTS_FILE, *PICTURES)
_IN_FOLDERS = (f"{MODELS_FOLDER}/*.pth", f"{FEATURES_FOLDER}/*.npy")
_MOVING = f"{REPLACED_FOLDER}.unfinished"


def set_aside(folder: Path) -> None:
    """Move the files of a run into its REPLACED_FOLDER; run.log goes on, nonfinite*.pt stay until `discard`."""
    for path in _files_of_run(folder):
        target = folder / _MOVING / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
    if (folder / _MOVING).is_dir():
        os.replace(folder / _MOVING, folder / REPLACED_FOLDER)


def is_unsettled(folder: Path) -> bool:
    """Return whether a run was killed while it replaced another."""
    return any((folder / name).is_dir() for name in (REPLACED_FOLDER, _MOVING))


def put_back(folder: Path) -> bool:
    """Put the run before back in place of the new one, which is removed, unless that has a state.

    Returns:
        Whether there was a run to put back.
    """
    replaced, moving = folder / REPLACED_FOLDER, folder / _MOVING
    if replaced.is_dir() and has_state(folder):
        discard(folder)
    if replaced.is_dir():
        for path in _files_of_run(folder):
            path.unlink()
        os.replace(replaced, moving)
    if not moving.is_dir():
        return False
    for path in [path for path in moving.rglob("*") if path.is_file()]:
        os.replace(path, folder / path.relative_to(moving))
    shutil.rmtree(moving)
    return True


def discard(folder: Path) -> None:
    """Remove the run before, if there is one, because the new one has a state."""
    if (folder / REPLACED_FOLDER).is_dir():
        for path in folder.glob("nonfinite*.pt"):  # the new run would have ended with one
            path.unlink()
        shutil.rmtree(folder / REPLACED_FOLDER)


def _files_of_run(folder: Path) -> list[Path]:
    named = [folder / name for name in _FILES]
    return [path for path in named if path.is_file()] + [path for form in _IN_FOLDERS for path in folder.glob(form)]
