"""Conversion of a mesh file to a cloud, views, cameras, depth and pairs on disk."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.rendering.mesh_origin import ORIGIN, MeshOrigin, is_up_to_date
from data.rendering.orbit import orbit_cameras
from data.rendering.pair_writer import add_pairs
from data.rendering.shape_renders import render_shape
from datasets.meshes.surface import NOTES
from datasets.shapes.mesh_files import MeshFile
from datasets.shapes.meshes import Z_UP_TO_Y_UP, load_mesh, normalise_mesh, sample_surface


@dataclass(frozen=True)
class Settings:
    """Everything that determines the output for a mesh."""

    num_views: int
    size_px: int
    num_points: int
    supersample: int
    up: str  # "y" or "z": the up-axis of the meshes; the output is y-up
    seed: int


def shape_rng(seed: int, synset: str, shape_id: str) -> np.random.Generator:
    """Create a generator that depends on the seed and the shape alone, not on the number of processes."""
    digest = hashlib.sha256(f"{synset}/{shape_id}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])


class Conversion(NamedTuple):
    """Processor time of a shape in seconds, notes on what of its file was left out, and whether it was rendered."""

    seconds: float
    notes: list[str]
    is_new: bool


def convert_shape(mesh_file: MeshFile, *, settings: Settings, out: Path, with_pairs: bool = False) -> Conversion:
    """Sample, render and write one shape; of one that is finished, of this mesh as it is, write the pairs alone.

    Raises:
        ValueError, FileNotFoundError: no usable mesh, see `load_mesh`, or not that of the finished shape.
    """
    start = time.process_time()
    origin = MeshOrigin.of(mesh_file.path)  # before it is read: what is written to it meanwhile makes it a changed one
    mesh = load_mesh(mesh_file.path)
    if settings.up == "z":
        mesh.apply_transform(Z_UP_TO_Y_UP)
    mesh = normalise_mesh(mesh)
    if is_up_to_date(mesh_file, out):
        add_pairs(out, mesh_file.synset, mesh_file.shape_id, mesh)
        return Conversion(time.process_time() - start, mesh.metadata[NOTES], is_new=False)
    rng = shape_rng(settings.seed, mesh_file.synset, mesh_file.shape_id)
    points, _ = sample_surface(mesh, settings.num_points, rng)
    cameras = orbit_cameras(settings.num_views, settings.size_px, rng)
    place = (out, mesh_file.synset, mesh_file.shape_id)
    options = {"supersample": settings.supersample, "with_pairs": with_pairs}
    render_shape(*place, mesh, points, cameras, texts={ORIGIN: json.dumps(origin._asdict()) + "\n"}, **options)
    return Conversion(time.process_time() - start, mesh.metadata[NOTES], is_new=True)
