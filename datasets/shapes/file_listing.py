"""The files below a folder, for every program that is given one, and the name and category of a shape's file."""

import os
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import NamedTuple

# the one file of a shape's folder in ShapeNetCore 2 (<synset>/<id>/models/model_normalized.obj) and 1 (.../model.obj)
_CORE = {("models", "model_normalized"): 1, ("model",): 2}  # -> folders above it, at least


class Listing(NamedTuple):
    """Visible files, sorted, and a message for each folder that may not be read."""

    paths: list[Path]
    unreadable: list[str]


class Place(NamedTuple):
    """The category of a shape, its folders joined by "/" or "" at the top, and its id within it."""

    category: str
    shape_id: str


def is_hidden(name: str) -> bool:
    """Whether a name begins with a dot, as ._chair.obj does, which macOS archives put beside chair.obj."""
    return name.startswith(".")


def list_files(folder: Path, is_wanted: Callable[[Path], bool] = lambda path: True) -> Listing:
    """List all files at any depth, except hidden files and folders; links are followed, each folder is read once."""
    paths: list[Path] = []
    errors: list[OSError] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=errors.append, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # two links to one folder, or a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        paths += [path for name in names if not is_hidden(name) and is_wanted(path := Path(parent, name))]
    return Listing(sorted(paths), [f"{error.filename}: {error.strerror}, left out" for error in errors])


def place_of(path: PurePath) -> Place:
    """Derive category and id of a shape from the path of its file, relative to the folder that was given.

    They are the folder and the file's name without suffix; in the layout of ShapeNetCore, synset and model.
    """
    parts = (*path.parent.parts, path.stem)
    for tail, least in _CORE.items():
        if parts[-len(tail) :] == tail and len(parts) >= len(tail) + least:
            parts = parts[: -len(tail)]
    return Place("/".join(parts[:-1]), parts[-1])
