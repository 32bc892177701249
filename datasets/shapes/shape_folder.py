"""Folders of shapes, one cloud or mesh per file, and reading of any such file as points."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.labels import CATEGORY_NAMES
from datasets.layouts import CLOUDS
from datasets.meshes.ply_file import has_faces
from datasets.precision import is_points_last, to_float32
from datasets.shapes.file_listing import list_files, place_of
from datasets.shapes.merged_tree import own_classes
from datasets.shapes.meshes import SUFFIXES as MESH_SUFFIXES
from datasets.shapes.meshes import load_mesh, sample_surface
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import list_shapes
from datasets.text_files import read_point_rows

TEXT_SUFFIXES = (".pts", ".txt", ".xyz")
SUFFIXES = tuple(sorted({*MESH_SUFFIXES, *TEXT_SUFFIXES, ".npy"}))
MESH_POINTS = 2048  # surface samples of a mesh, the default of data.render_views


class ShapeFile(NamedTuple):
    """One shape: its name, unique in the folder, its category or "", its file and its rendered views."""

    name: str
    category: str
    path: Path
    views: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Its file and its views."""
        return (self.path, *self.views)


def list_shape_files(folder: str | Path, unreadable: list[str] | None = None) -> list[ShapeFile]:
    """List the shapes of a folder, sorted: of a pre-training tree with views, else all clouds and meshes at any depth.

    The category of a shape is the name of its synset, in a tree of data.merge that of its own tree, or its sub-folder.

    Raises:
        ValueError: the record of data.merge is damaged.
        FileNotFoundError: no such folder, or no shape in it.
        PermissionError: a folder below it may not be read; with `unreadable`, a message is added there instead.
    """
    folder = Path(folder)
    if (folder / CLOUDS).is_dir():
        shapes = list_shapes(folder, with_views=False)
        classes = own_classes(folder, {shape.synset for shape in shapes})
        return [
            ShapeFile(
                str(shape),
                CATEGORY_NAMES.get(classes[shape.synset], classes[shape.synset]),
                shape.cloud_path(folder),
                tuple(shape.view_folder(folder) / view for view in shape.views),
            )
            for shape in shapes
        ]
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of shapes at {folder}")
    paths, refused = list_files(folder, lambda path: path.suffix.lower() in SUFFIXES)
    if unreadable is not None:
        unreadable += refused
    elif refused:
        raise PermissionError(f"not all of {folder} may be read: {'; '.join(refused)}")
    if not paths:
        raise FileNotFoundError(
            f"no shapes in {folder}: expected {CLOUDS}/<synset>/<id>.ply or files {', '.join(SUFFIXES)} at any depth"
        )
    names = [path.relative_to(folder) for path in paths]
    return [ShapeFile(name.as_posix(), place_of(name).category, path) for name, path in zip(names, paths)]


def read_shape(path: str | Path, *, seed: int = 0) -> np.ndarray:
    """Read the points of a cloud in file order, or sample MESH_POINTS uniform points on a mesh.

    Args:
        path: an OFF, OBJ, STL, GLB or GLTF mesh; PLY with or without faces; NumPy (N, 3 or more) or (3, N); text, see
            `read_point_rows`.
        seed: of the surface samples.
    Returns:
        (N, 3) float32, N >= 1, finite.
    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is of another kind, or damaged.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} is no shape: expected one of {', '.join(SUFFIXES)}, found {suffix or 'no suffix'!r}")
    if not path.is_file():
        raise FileNotFoundError(f"no shape at {path}")
    if suffix == ".npy":
        return _points_of(_load_array(path), path)
    if suffix in TEXT_SUFFIXES:
        return _points_of(read_point_rows(path), path)
    if not is_mesh(path):
        return read_points(path)
    return sample_surface(load_mesh(path), MESH_POINTS, np.random.default_rng(seed))[0]


def _load_array(path: Path) -> np.ndarray:
    """Load an array (N, C); one stored with points last, (3, N) or with a leading 1, is brought to this shape."""
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header makes numpy raise TokenError, SyntaxError, MemoryError ...
        raise ValueError(f"{path} is not a readable array ({error})") from error
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    is_turned = array.ndim == 2 and (is_points_last(array.shape) or (len(array) == 6 and array.shape[1] > 9))
    return array.T if is_turned else array


def _points_of(rows: np.ndarray, path: Path) -> np.ndarray:
    """Return the first three columns of a table (N, C) as float32 points (N, 3)."""
    is_table = rows.ndim == 2 and len(rows) > 0 and rows.shape[1] >= 3 and rows.dtype.kind in "iuf"
    if not is_table or not np.isfinite(rows[:, :3]).all():
        raise ValueError(f"{path}: expected finite points (N, 3 or more), N >= 1, got an array {rows.shape}")
    return np.ascontiguousarray(to_float32(rows[:, :3]))


def is_mesh(path: str | Path) -> bool:
    """Return whether `read_shape` samples the surface of a file, rather than reading points."""
    path = Path(path)
    suffix = path.suffix.lower()
    return suffix in MESH_SUFFIXES and (suffix != ".ply" or has_faces(path))
