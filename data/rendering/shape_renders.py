"""Rendering and writing of a shape whose mesh, cloud and cameras are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import trimesh

from data.rendering.pair_writer import find_pairs
from data.rendering.raycast import Raycaster
from data.rendering.shape_writer import write_shape
from datasets.shapes.cameras import Camera


def render_shape(
    out: Path,
    synset: str,
    shape_id: str,
    mesh: trimesh.Trimesh,
    points: np.ndarray,
    cameras: Sequence[Camera],
    *,
    supersample: int = 2,
    with_pairs: bool = False,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Render a mesh from each camera, find where its cloud (N, 3) is seen if asked for pairs, and write it all."""
    caster = Raycaster(mesh)
    views = [caster.render(camera, supersample=supersample) for camera in cameras]
    pairs = find_pairs(caster, cameras, points) if with_pairs else None
    write_shape(out, synset, shape_id, points, views, cameras, pairs, texts)
