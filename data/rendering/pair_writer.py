"""Pairs of pixels and points by ray casting: one ray a point, from each camera."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh

from data.rendering.raycast import Raycaster
from datasets.pairs.pair_tables import PAIRS
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.shapes.cameras import Camera, project, read_cameras
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import TreeShape, list_views
from utils.files import write_npz

MOST_OFF = 0.001  # share of a cloud: rounded to float32, a point at an open edge may lie beside its face


def find_pairs(caster: Raycaster, cameras: Sequence[Camera], points: np.ndarray) -> PixelPairs:
    """Find which points of a cloud on the surface each camera sees, and where in its view. Shape of points: (N, 3)."""
    views = []
    for camera in cameras:
        seen = np.flatnonzero(caster.visible(camera, points))
        pixels, _ = project(camera, points)
        views.append((seen, pixels[seen, ::-1] / camera.size))
    return PixelPairs.of_views(views)


def has_pairs(out: Path, synset: str, shape_id: str) -> bool:
    """Return whether a shape has its file of pairs."""
    return (TreeShape(synset, shape_id, ()).render_folder(out) / PAIRS).is_file()


def add_pairs(out: Path, synset: str, shape_id: str, mesh: trimesh.Trimesh) -> None:
    """Write the pairs of a finished shape, from its stored cloud and cameras and the mesh that they were made of.

    Raises:
        ValueError: its cloud is not on the surface of the mesh, or its cameras are not those of its pictures.
    """
    shape = TreeShape(synset, shape_id, ())
    cloud, folder = shape.cloud_path(out), shape.render_folder(out)
    points, cameras = read_points(cloud), _read_cameras(folder / "cameras.npz", len(list_views(folder / "rendering")))
    caster = Raycaster(mesh)
    num_off = int((~caster.on_surface(points)).sum())
    if num_off > MOST_OFF * len(points):
        raise ValueError(
            f"{cloud}: {num_off} of {len(points)} points do not lie on the mesh of this name, so that one of them has "
            "changed; delete the cloud and its renders, or make them again"
        )
    write_npz(folder / PAIRS, **find_pairs(caster, cameras, points)._asdict())


def _read_cameras(path: Path, num_views: int) -> list[Camera]:
    try:
        cameras = read_cameras(path)
    except Exception as error:  # numpy, zipfile and zlib raise a dozen types for damaged bytes
        raise ValueError(f"{path}: no readable cameras ({error}); render the shape again") from error
    if len(cameras) != num_views:
        raise ValueError(f"{path}: {len(cameras)} cameras, but {num_views} pictures; render the shape again")
    return cameras
