"""Jobs of the worker processes: write a shape for pre-training, or return its evaluation clouds."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.procedural.assembly import CATEGORIES, LabelledMesh
from data.procedural.captions import describe
from data.procedural.numbered_shapes import make_shape, shape_rng
from data.procedural.scans import Scan, scan_shape
from data.rendering.orbit import orbit_cameras
from data.rendering.pair_writer import add_pairs, has_pairs
from data.rendering.shape_renders import render_shape
from data.rendering.shape_writer import is_finished
from datasets.shapes.meshes import sample_surface

NUM_POINTS = 2048
_SAMPLE, _VIEWS, _SCAN = 1, 2, 3  # independent random streams of a shape, by purpose


class PretrainJob(NamedTuple):
    """A pre-training shape whose cloud, of its surface or a scan, and renders go below `out`."""

    out: Path
    seed: int
    category: str
    index: int
    num_views: int
    size_px: int
    with_pairs: bool
    is_scan: bool = False

    @property
    def place(self) -> tuple[Path, str, str]:
        """Root, synset and id of the shape."""
        return self.out, CATEGORIES[self.category].synset, pretrain_id(self.seed, self.category, self.index)


class EvalJob(NamedTuple):
    """A shape of an evaluation split, to be sampled and scanned."""

    seed: int
    category: str
    split: str
    index: int


class EvalClouds(NamedTuple):
    """points (N, 3) float32 in the unit sphere, part_label (N,) uint8, and the scans, None for split val."""

    points: np.ndarray
    part_label: np.ndarray
    scan: Scan | None


def pretrain_id(seed: int, category: str, index: int) -> str:
    """Return the file name of a pre-training shape, unique over categories and seeds."""
    return f"{category}_{seed}_{index:05d}"


def run_pretrain(job: PretrainJob) -> dict[str, Any]:
    """Write what a shape in the ShapeNet + ShapeNetRendering layout lacks: all of it, its pairs or nothing.

    Returns:
        `describe` of the shape.
    """
    is_there = is_finished(*job.place)
    rng, identity = shape_rng, (job.seed, job.category, "pretrain", job.index)
    shape = make_shape(*identity)
    caption = describe(shape)
    if is_there and (not job.with_pairs or has_pairs(*job.place)):
        return caption
    mesh = shape.to_trimesh()
    if is_there:
        add_pairs(*job.place, mesh)
        return caption
    points = (
        _scan(identity, shape).obj_bg if job.is_scan else sample_surface(mesh, NUM_POINTS, rng(*identity, _SAMPLE))[0]
    )
    cameras = orbit_cameras(job.num_views, job.size_px, rng(*identity, _VIEWS))
    render_shape(*job.place, mesh, points, cameras, with_pairs=job.with_pairs)
    return caption


def run_eval(job: EvalJob) -> EvalClouds:
    """Sample a shape and, for train and test, scan it."""
    shape = make_shape(*job)
    points, face_index = sample_surface(shape.to_trimesh(), NUM_POINTS, shape_rng(*job, _SAMPLE))
    points = points - points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1).max()
    scan = _scan(job, shape) if job.split != "val" else None
    return EvalClouds(points.astype(np.float32), shape.part_label[face_index], scan)


def _scan(identity: tuple[int, str, str, int], shape: LabelledMesh) -> Scan:
    """Scan a shape (seed, category, split, index), perhaps beside another."""
    rng = shape_rng(*identity, _SCAN)
    other = sorted(CATEGORIES)[rng.integers(len(CATEGORIES))]
    neighbour = make_shape(identity[0], other, "clutter", int(rng.integers(1000)))
    return scan_shape(shape, neighbour, NUM_POINTS, rng)
