"""Record beside each rendered shape of the mesh it was made of, which tells shapes whose mesh has changed since."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data.rendering.shape_writer import is_finished
from datasets.shapes.mesh_files import MeshFile
from datasets.shapes.shape_tree import TreeShape, list_renders
from utils.run.provenance import file_sha256

ORIGIN = "mesh.json"  # in ShapeNetRendering/<synset>/<id>/; shapes that earlier versions rendered have none


class MeshOrigin(NamedTuple):
    """A mesh file as it was when it was read: its path without links, size, time and digest."""

    mesh: str
    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "MeshOrigin":
        """Describe a file as it is now."""
        found = path.stat()
        return cls(os.path.realpath(path), found.st_size, found.st_mtime_ns, file_sha256(path))

    def is_still(self, path: Path) -> bool:
        """Return whether a file holds the same; one that was only touched, moved or copied back does."""
        found = path.stat()
        if found.st_size != self.size:
            return False
        is_same_file = (os.path.realpath(path), found.st_mtime_ns) == (self.mesh, self.mtime_ns)
        return is_same_file or file_sha256(path) == self.sha256


class Outdated(NamedTuple):
    """Names of shapes, <synset>/<id>, whose mesh has changed since, has another name now, or is gone."""

    changed: list[str]
    renamed: list[str]
    without_mesh: list[str]


def read_origin(out: Path, synset: str, shape_id: str) -> MeshOrigin | None:
    """Read the record of a shape; None where it has none.

    Raises:
        ValueError: it is damaged.
    """
    path = TreeShape(synset, shape_id, ()).render_folder(out) / ORIGIN
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return MeshOrigin(str(found["mesh"]), int(found["size"]), int(found["mtime_ns"]), str(found["sha256"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error!r}): delete {path.parent}, which is then rendered again"
        ) from error


def is_up_to_date(mesh: MeshFile, out: Path) -> bool:
    """Return whether a shape is finished and of the mesh as it is, without a record whether it is no older.

    A mesh that is not there, as at the end of a link that leads nowhere, has not changed.
    """
    place = (mesh.synset, mesh.shape_id)
    if not is_finished(out, *place):
        return False
    if not mesh.path.exists():
        return True
    if origin := read_origin(out, *place):
        return origin.is_still(mesh.path)
    return mesh.path.stat().st_mtime_ns <= TreeShape(*place, ()).cloud_path(out).stat().st_mtime_ns


def remove_outdated(meshes: Sequence[MeshFile], out: Path) -> Outdated:
    """Remove shapes that their record says were made of a mesh that has changed since, or is of another name now.

    Shapes whose mesh is gone stay, and those without a record too: if older than their mesh, until they are replaced.
    """
    by_name = {(mesh.synset, mesh.shape_id): mesh for mesh in meshes}
    names = defaultdict(set)  # several, where links lead to one mesh
    for name, mesh in by_name.items():
        names[os.path.realpath(mesh.path)].add(name)
    result = Outdated([], [], [])
    for name in list_renders(out):
        if not is_finished(out, *name):
            continue
        shape, origin, mesh = TreeShape(*name, ()), read_origin(out, *name), by_name.get(name)
        if origin and any(_is_renamed(name, now) for now in names.get(origin.mesh, ())):
            kind = result.renamed
        elif mesh is None:
            kind = result.without_mesh
        elif is_up_to_date(mesh, out):
            continue
        else:
            kind = result.changed
        kind.append(str(shape))
        if origin and kind is not result.without_mesh:
            shape.cloud_path(out).unlink()  # first: without it the shape is unfinished
            shutil.rmtree(shape.render_folder(out))
    return result


def _is_renamed(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Return whether a name differs from another by the suffix of its file alone, as where a stem occurs twice."""
    (synset, old), (synset_now, new) = before, now
    return synset == synset_now and (new.startswith(f"{old}_") or old.startswith(f"{new}_"))
