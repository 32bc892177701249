"""Conversion of a mesh file to a cloud, views, cameras and depth on disk."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.rendering.mesh_files import MeshFile
from data.rendering.orbit import orbit_cameras
from data.rendering.raycast import Raycaster
from data.rendering.shape_writer import write_shape
from datasets.meshes.surface import NOTES
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
    """Processor time of a shape in seconds, and notes on what of its file was left out."""

    seconds: float
    notes: list[str]


def convert_shape(mesh_file: MeshFile, *, settings: Settings, out: Path) -> Conversion:
    """Sample, render and write one shape.

    Raises:
        ValueError, FileNotFoundError: the file holds no usable mesh; see `load_mesh`.
    """
    start = time.process_time()
    mesh = load_mesh(mesh_file.path)
    if settings.up == "z":
        mesh.apply_transform(Z_UP_TO_Y_UP)
    mesh = normalise_mesh(mesh)
    rng = shape_rng(settings.seed, mesh_file.synset, mesh_file.shape_id)
    points, _ = sample_surface(mesh, settings.num_points, rng)
    cameras = orbit_cameras(settings.num_views, settings.size_px, rng)
    raycaster = Raycaster(mesh)
    views = [raycaster.render(camera, supersample=settings.supersample) for camera in cameras]
    write_shape(out, mesh_file.synset, mesh_file.shape_id, points, views, cameras)
    return Conversion(time.process_time() - start, mesh.metadata[NOTES])
