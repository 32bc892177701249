"""Kinds of files that tests/stress/fuzz.py damages, and how the project reads each: as a digest of its content.

An AssertionError says that a reader returned what it promises never to return.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import unpack
from datasets.labelled.modelnet40 import ModelNet40
from datasets.pairs.packed_file import PackedFile
from datasets.pairs.pair_tables import read_table
from datasets.parts.shapenet_part import ShapeNetPart
from datasets.shapes.meshes import load_mesh
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_folder import read_shape
from datasets.shapes.views import load_view
from models.weights.weight_file import read_weights
from tests.stress.contents import digest
from tests.stress.mutations import mutate, mutate_inside_gzip, mutate_png
from utils.run.names import STATE_FILE
from utils.run.state import load_state


class Format(NamedTuple):
    """A kind of file."""

    read: Callable[[Path], str]  # a digest of all content; raises what the project's reader raises
    name: str  # of the damaged file, in a folder of its own
    is_sealed: bool  # checksums cover everything, so that only the original content can be read
    mutate: Callable[[bytes, np.random.Generator], tuple[str, bytes]] = mutate


def _weights(path: Path) -> str:
    return digest(read_weights(path))


def _state(path: Path) -> str:
    return digest(load_state(path.parent, report=print)[1])


def _require_cloud(points: np.ndarray) -> np.ndarray:
    is_cloud = points.dtype == np.float32 and points.ndim == 2 and points.shape[1] == 3 and len(points) > 0
    assert is_cloud, f"points {points.dtype} {points.shape}"
    assert np.isfinite(points).all(), "points that are not finite"
    return points


def _cloud(read: Callable[[Path], np.ndarray], path: Path) -> str:
    return digest(_require_cloud(read(path)))


def _mesh(path: Path) -> str:
    mesh = load_mesh(path)
    assert np.isfinite(mesh.vertices[mesh.faces]).all(), "corners that are not finite"
    return digest(np.asarray(mesh.vertices), np.asarray(mesh.faces), _require_cloud(read_shape(path)))


def _png(path: Path) -> str:
    image = load_view(path, "white")
    assert image.mode == "RGB"
    assert 0 not in image.size
    return digest(np.asarray(image))


def _labelled(path: Path) -> str:
    dataset = ModelNet40(path.parent, "train", num_points=32, normalize=True)
    for points in dataset.points.numpy():
        _require_cloud(points)
    assert set(dataset.labels.tolist()) <= set(range(len(dataset.class_names))), "labels outside the classes"
    return digest(dataset.points, dataset.labels)


def _parts(path: Path) -> str:
    dataset = ShapeNetPart(path.parent, "train", num_points=32)
    for points in dataset.points.numpy():
        _require_cloud(points)
    for category, labels in zip(dataset.categories.tolist(), dataset.part_labels.tolist()):
        assert set(labels) <= set(dataset.table[category].part_labels), "parts of another category"
    return digest(dataset.points, dataset.categories, dataset.part_labels)


def _packed(path: Path) -> str:
    file = PackedFile(path)
    views = [[file.read_view(shape, view) for view in range(file.num_views(shape))] for shape in range(len(file))]
    pairs = [file.read_pairs(shape) for shape in range(len(file))] if file.has_pairs else []
    return digest([(file.name(shape), file.read_points(shape)) for shape in range(len(file))], views, pairs)


def _pairs(path: Path) -> str:
    return digest(read_table(path, num_points=97, num_views=3, remedy="again"))


def _archive(path: Path) -> str:
    """Unpack it; nothing may appear outside --out."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        out = Path(folder, "here")
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                unpack.main(unpack.parse_args([str(path), "--out", str(out)]))
        finally:
            outside = [str(found) for found in Path(folder).rglob("*") if not found.is_relative_to(out)]
            assert not outside, f"unpacked outside: {outside}"
        files = sorted(found for found in out.rglob("*") if found.is_file() and found.name != ".unpacked_from")
        return digest([(str(found.relative_to(out)), found.read_bytes()) for found in files if found.parent != out])


CHECKPOINTS = {
    "weights": Format(_weights, "best_model.pth", is_sealed=True),
    "state": Format(_state, STATE_FILE, is_sealed=True),
}
INPUTS = {
    "ply": Format(partial(_cloud, read_points), "cloud.ply", is_sealed=False),
    "png": Format(_png, "00.png", is_sealed=False, mutate=mutate_png),
    "hdf5 clouds": Format(_labelled, "ply_data_train0.h5", is_sealed=False),
    "hdf5 parts": Format(_parts, "ply_data_train0.h5", is_sealed=False),
    "packed": Format(_packed, "packed.h5", is_sealed=True),
    "pairs": Format(_pairs, "pairs.npz", is_sealed=True),
    "tar.gz": Format(_archive, "set.tar.gz", is_sealed=False, mutate=mutate_inside_gzip),
    "mesh off": Format(_mesh, "mesh.off", is_sealed=False),
    "mesh obj": Format(_mesh, "mesh.obj", is_sealed=False),
    "mesh ply": Format(_mesh, "mesh.ply", is_sealed=False),
    "mesh stl": Format(_mesh, "mesh.stl", is_sealed=False),
    "mesh glb": Format(_mesh, "mesh.glb", is_sealed=False),
    "table npy": Format(partial(_cloud, read_shape), "cloud.npy", is_sealed=False),
    "table txt": Format(partial(_cloud, read_shape), "cloud.xyz", is_sealed=False),
}
