"""Writing of the whole tree of built-in data on several processes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.parallel import parallel_map
from data.procedural import hdf5_writers
from data.procedural.captions import write_captions
from data.procedural.scans import Scan
from data.procedural.shape_jobs import EvalClouds, EvalJob, PretrainJob, run_eval, run_pretrain
from data.rendering.pair_writer import has_pairs
from data.rendering.shape_writer import is_finished


class TreeSize(NamedTuple):
    """Number of shapes of each category in each split, and number and size of the pictures of a shape."""

    pretrain: int
    train: int
    val: int
    test: int
    num_views: int
    size_px: int


def write_tree(out: Path, size: TreeSize, *, seed: int, workers: int, with_pairs: bool) -> None:
    """Write clouds and views for pre-training and the three evaluation sets below `out`.

    The data does not depend on the number of workers; finished pre-training shapes are skipped.
    """
    categories = hdf5_writers.CLASSES
    with parallel_map(workers) as run:
        _write_pretrain(run, out, _pretrain_jobs(out, size, seed, with_pairs), "pre-training shapes")
        for split in ("train", "val", "test"):
            jobs = [
                EvalJob(seed, category, split, index)
                for index in range(getattr(size, split))
                for category in categories
            ]
            clouds = list(run(run_eval, jobs, f"evaluation shapes, {split}"))
            labels = np.array([categories.index(job.category) for job in jobs])
            _write_split(out, split, clouds, labels)


def _write_pretrain(run: Callable, out: Path, jobs: list[PretrainJob], what: str) -> None:
    """Write what shapes lack, then the captions of all."""
    names = ["/".join(job.place[1:]) for job in jobs]
    write_captions(out, dict(zip(names, run(run_pretrain, jobs, what), strict=True)))


def add_missing_captions(out: Path, size: TreeSize, *, seed: int, workers: int) -> None:
    """Write the captions of a complete tree, and change no other file."""
    with parallel_map(workers) as run:
        _write_pretrain(run, out, _pretrain_jobs(out, size, seed, with_pairs=False), "captions")


def add_missing_pairs(out: Path, size: TreeSize, *, seed: int, workers: int) -> int:
    """Write the pairs of pixels and points that pre-training shapes of a complete tree lack; return their number."""
    jobs = [
        job
        for job in _pretrain_jobs(out, size, seed, with_pairs=True)
        if is_finished(*job.place) and not has_pairs(*job.place)
    ]
    with parallel_map(workers) as run:
        list(run(run_pretrain, jobs, "pairs of pixels and points"))
    return len(jobs)


def _pretrain_jobs(out: Path, size: TreeSize, seed: int, with_pairs: bool) -> list[PretrainJob]:
    return [
        PretrainJob(out, seed, category, index, size.num_views, size.size_px, with_pairs)
        for index in range(size.pretrain)
        for category in hdf5_writers.CLASSES
    ]


def _write_split(out: Path, split: str, clouds: Sequence[EvalClouds], labels: np.ndarray) -> None:
    points = np.stack([cloud.points for cloud in clouds])  # (M, N, 3)
    part_labels = np.stack([cloud.part_label for cloud in clouds])
    hdf5_writers.write_shapenet_part(out, split, points, labels, part_labels)
    if split == "val":
        return
    hdf5_writers.write_modelnet40(out, split, points, labels)
    for variant in Scan._fields:
        scans = np.stack([getattr(cloud.scan, variant) for cloud in clouds])
        hdf5_writers.write_scanobjectnn(out, split, variant, scans, labels)
