"""Sorted file lists of the trees ShapeNet and ShapeNetRendering."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datasets.layouts import CLOUDS, RENDERS, fix
from datasets.shapes.file_listing import is_hidden

FIX = fix("shapenet shapenet_render")


class TreeShape(NamedTuple):
    """One cloud below ROOT/ShapeNet and the file names of its views."""

    synset: str
    shape_id: str
    views: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.synset}/{self.shape_id}"

    def cloud_path(self, root: Path) -> Path:
        """Return the path of its PLY file."""
        return root / CLOUDS / self.synset / f"{self.shape_id}.ply"

    def render_folder(self, root: Path) -> Path:
        """Return its folder below ShapeNetRendering, which holds rendering/*.png, cameras.npz and depth.npz."""
        return root / RENDERS / self.synset / self.shape_id

    def view_folder(self, root: Path) -> Path:
        """Return the folder of its pictures."""
        return self.render_folder(root) / "rendering"


def list_shapes(root: Path, *, with_views: bool = True) -> list[TreeShape]:
    """List every `ShapeNet/<synset>/<id>.ply` in sorted order, each with its sorted, possibly empty, views.

    Raises:
        FileNotFoundError: no such cloud, or `with_views` and no folder of renders.
    """
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # a million names in the full set, but few distinct lists
    shapes = []
    for synset, shape_id in _list_clouds(root / CLOUDS):
        views = list_views(TreeShape(synset, shape_id, ()).view_folder(root))
        shapes.append(TreeShape(synset, shape_id, shared.setdefault(views, views)))
    if not shapes:
        raise FileNotFoundError(f"no clouds ({CLOUDS}/<synset>/<id>.ply) in {root}; run: {FIX}")
    if with_views and not (root / RENDERS).is_dir():
        raise FileNotFoundError(f"no folder {root / RENDERS} beside {root / CLOUDS}; run: {FIX}")
    return shapes


def list_views(folder: Path) -> tuple[str, ...]:
    """List the names of the pictures in a folder, sorted; empty if there is no such folder."""
    try:
        return tuple(sorted(name for name in os.listdir(folder) if name.endswith(".png") and not is_hidden(name)))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def list_renders(root: Path) -> list[tuple[str, str]]:
    """List (synset, id) of every folder `ShapeNetRendering/<synset>/<id>`, sorted; hidden ones are unfinished."""
    folder = root / RENDERS
    return [(synset, name) for synset in _subfolders(folder) for name in _subfolders(folder / synset)]


def _list_clouds(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (synset, id) of every cloud, sorted."""
    for synset in _subfolders(folder):
        for name in sorted(os.listdir(folder / synset)):
            if name.endswith(".ply") and not is_hidden(name):
                yield synset, name.removesuffix(".ply")


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))
