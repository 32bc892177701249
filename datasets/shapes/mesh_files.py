"""Search for the mesh files of a folder, and their names in the output."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.shapes.file_listing import list_files, place_of
from datasets.shapes.meshes import SUFFIXES

TOP_LEVEL = "meshes"  # synset of files that lie in no sub-folder


class MeshFile(NamedTuple):
    """A mesh file and its place in the output."""

    path: Path
    synset: str
    shape_id: str


class MeshFiles(NamedTuple):
    """The mesh files of a folder, sorted, and a message for each folder below it that may not be read."""

    found: list[MeshFile]
    unreadable: list[str]


def find_meshes(folder: Path) -> MeshFiles:
    """Find all mesh files below a folder, as `list_files` lists them.

    The synset is the sub-folder, with "__" between nested ones; the id is the file name without suffix; for
    ShapeNetCore's layout see `place_of`. Files of a sub-folder that differ only in their suffix keep it in their ids:
    chair.obj, chair.off -> chair_obj, chair_off.

    Raises:
        FileNotFoundError: no such folder, or no mesh file in it.
        ValueError: two files would get the same id.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder that holds the mesh files")
    paths, unreadable = list_files(folder)
    meshes = [path for path in paths if path.suffix.lower() in SUFFIXES]
    if not meshes:
        others = Counter(path.suffix.lower() for path in paths)
        endings = ", ".join(f"{count} x {suffix or 'no suffix'}" for suffix, count in others.most_common(5))
        raise FileNotFoundError(
            f"{folder}: no mesh files in it or below; looked for {', '.join(SUFFIXES)}, found {endings or 'nothing'}"
            + "".join(f"; {message}" for message in unreadable)
        )
    places = [place_of(path.relative_to(folder)) for path in meshes]
    count = Counter(places)
    found = []
    for path, place in zip(meshes, places):
        shape_id = place.shape_id if count[place] == 1 else f"{place.shape_id}_{path.suffix[1:].lower()}"
        found.append(MeshFile(path, place.category.replace("/", "__") or TOP_LEVEL, shape_id))
    _check_unique(found)
    return MeshFiles(found, unreadable)


def _check_unique(found: Sequence[MeshFile]) -> None:
    """Raise a ValueError for equal names; names that differ only in case collide on some file systems."""
    holders = defaultdict(list)
    for mesh in found:
        holders[mesh.synset.lower(), mesh.shape_id.lower()].append(mesh)
    for clash in holders.values():
        if len(clash) > 1:
            names = " and ".join(str(mesh.path) for mesh in clash)
            raise ValueError(f"{names} would both become {clash[0].synset}/{clash[0].shape_id}; rename one of them")
