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
        """Return whether a file is this one, unchanged; one that was only touched or copied back is."""
        found = path.stat()
        if (os.path.realpath(path), found.st_size) != (self.mesh, self.size):
            return False
        return found.st_mtime_ns == self.mtime_ns or file_sha256(path) == self.sha256


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
    """Return whether a shape is finished and of the mesh as it is, without a record whether it is no older."""
    place = (mesh.synset, mesh.shape_id)
    if not is_finished(out, *place):
        return False
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
        if origin and origin.mesh in names and name not in names[origin.mesh]:
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
