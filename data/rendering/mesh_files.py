"""Search for the mesh files of a folder, and their names in the output."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.shapes.meshes import SUFFIXES

TOP_LEVEL = "meshes"  # synset of files that lie in no sub-folder


class MeshFile(NamedTuple):
    """A mesh file and its place in the output."""

    path: Path
    synset: str
    shape_id: str


def find_meshes(folder: Path) -> list[MeshFile]:
    """Find all mesh files below a folder, sorted, except hidden files and folders.

    The synset is the sub-folder, with "__" between nested ones; the id is the file name without suffix. Files of a
    sub-folder that differ only in their suffix keep it in their ids: chair.obj, chair.off -> chair_obj, chair_off.

    Raises:
        FileNotFoundError: no such folder, or no mesh file in it.
        ValueError: two files would get the same id.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder that holds the mesh files")
    paths, others = _walk(folder)
    if not paths:
        endings = ", ".join(f"{count} x {suffix or 'no suffix'}" for suffix, count in others.most_common(5))
        raise FileNotFoundError(
            f"{folder}: no mesh files in it or below; looked for {', '.join(SUFFIXES)}, found {endings or 'nothing'}"
        )
    by_stem = Counter((path.parent, path.stem) for path in paths)
    found = []
    for path in paths:
        shape_id = path.stem if by_stem[path.parent, path.stem] == 1 else f"{path.stem}_{path.suffix[1:].lower()}"
        found.append(MeshFile(path, "__".join(path.relative_to(folder).parts[:-1]) or TOP_LEVEL, shape_id))
    _check_unique(found)
    return found


def _walk(folder: Path) -> tuple[list[Path], Counter[str]]:
    """List the mesh files, sorted, and count the other files by suffix."""
    paths, others = [], Counter()
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if name.startswith("."):  # such as ._chair.obj, which macOS archives put beside chair.obj
                continue
            if path.suffix.lower() in SUFFIXES:
                paths.append(path)
            else:
                others[path.suffix.lower()] += 1
    return sorted(paths), others


def _check_unique(found: Sequence[MeshFile]) -> None:
    """Raise a ValueError for equal names; names that differ only in case collide on some file systems."""
    holders = defaultdict(list)
    for mesh in found:
        holders[mesh.synset.lower(), mesh.shape_id.lower()].append(mesh)
    for clash in holders.values():
        if len(clash) > 1:
            names = " and ".join(str(mesh.path) for mesh in clash)
            raise ValueError(f"{names} would both become {clash[0].synset}/{clash[0].shape_id}; rename one of them")
