"""The whole tree of built-in data, shape by shape over several processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data.procedural import layouts
from data.procedural.jobs import EvalClouds, EvalJob, PretrainJob, run_eval, run_pretrain

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class TreeSize(NamedTuple):
    """Shapes per category of each use, and the pictures of a pre-training shape."""

    pretrain: int
    train: int
    val: int
    test: int
    num_views: int
    size_px: int


def write_tree(out: Path, size: TreeSize, *, seed: int, workers: int) -> None:
    """Write pre-training pairs and the three evaluation sets below `out`.

    The data does not depend on the number of workers; finished pre-training shapes are skipped.
    """
    categories = layouts.CLASS_NAMES
    pretrain = [
        PretrainJob(out, seed, category, index, size.num_views, size.size_px)
        for index in range(size.pretrain)
        for category in categories
    ]
    with _pool(workers) as run:
        for _ in run(run_pretrain, pretrain, "pre-training shapes"):
            pass
        for split in ("train", "val", "test"):
            jobs = [
                EvalJob(seed, category, split, index)
                for index in range(getattr(size, split))
                for category in categories
            ]
            clouds = list(run(run_eval, jobs, f"evaluation shapes, {split}"))
            labels = np.array([categories.index(job.category) for job in jobs])
            _write_split(out, split, clouds, labels)


def _write_split(out: Path, split: str, clouds: Sequence[EvalClouds], labels: np.ndarray) -> None:
    points = np.stack([cloud.points for cloud in clouds])  # (M, N, 3)
    part_labels = np.stack([cloud.part_label for cloud in clouds])
    layouts.write_shapenet_part(out, split, points, labels, part_labels)
    if split == "val":
        return
    layouts.write_modelnet40(out, split, points, labels)
    for variant in ("obj_bg", "obj_only", "hardest"):
        scans = np.stack([getattr(cloud.scan, variant) for cloud in clouds])
        layouts.write_scanobjectnn(out, split, variant, scans, labels)


@contextmanager
def _pool(workers: int) -> Iterator[Callable]:
    """A function (work, jobs, title) -> results in the order of the jobs, with a progress bar."""
    if workers <= 1:
        yield lambda work, jobs, title: tqdm(map(work, jobs), total=len(jobs), desc=title, unit="shape", disable=None)
        return
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)  # spawned processes read it when they import numpy
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield lambda work, jobs, title: tqdm(
                pool.map(work, jobs, chunksize=4), total=len(jobs), desc=title, unit="shape", disable=None
            )
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
