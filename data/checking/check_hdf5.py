"""Checks of the three HDF5 layouts: ModelNet40 (or any set like it), ScanObjectNN, ShapeNetPart."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from data.checking.check_report import GLUE, Report
from data.checking.cloud_stats import CloudStats, count_far, describe, duplicates, join, measure
from data.parallel import Map
from datasets.labelled.hdf5_clouds import check_layout, open_shard, read_labels, read_part_labels
from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import PartTable
from datasets.precision import is_points_last


class HDF5Set(NamedTuple):
    """The files of one data set: `splits` maps a split to its files, `published` to its published size.

    `table` is that of the part labels in them, if they have any, and `strays` are files beside them whose names belong
    to no split.
    """

    title: str
    folder: Path
    splits: dict[str, list[Path]]
    published: dict[str, int]
    class_names: tuple[str, ...]
    table: PartTable | None
    remedy: str
    use: str
    strays: tuple[Path, ...] = ()


class _Job(NamedTuple):
    path: Path
    num_classes: int
    table: PartTable | None


class _Shard(NamedTuple):
    """Findings on one file; `rows` are the row numbers that `stats` describes."""

    path: Path
    num_clouds: int
    layout: str
    labels: np.ndarray
    rows: np.ndarray
    stats: CloudStats
    faults: list[str]


def check_hdf5_set(found: HDF5Set, run: Map) -> Report:
    """Read every file of the set once and report."""
    report = Report(found.title, found.folder, remedy=found.remedy, use=found.use)
    expected = " or ".join(f"ply_data_{split}*.h5" for split in found.published)
    report.faults += [f"{path}: of no split, expected {expected}; rename it" for path in found.strays]
    if not found.splits:
        return report
    jobs = [_Job(path, len(found.class_names), found.table) for paths in found.splits.values() for path in paths]
    shards = dict(zip((job.path for job in jobs), run(_check_shard, jobs, found.title)))
    counts = {split: sum(shards[path].num_clouds for path in paths) for split, paths in found.splits.items()}
    report.facts.append(_count_line(counts, found.published))
    report.facts += sorted({f"stored: {shard.layout}" for shard in shards.values() if shard.layout})
    histograms = {
        split: np.bincount(np.concatenate([shards[path].labels for path in paths]), minlength=len(found.class_names))
        for split, paths in found.splits.items()
    }
    report.facts.append(_class_line(histograms, found.class_names))
    report.notes += _class_notes(histograms, found.class_names)
    report.faults += [fault for shard in shards.values() for fault in shard.faults]
    missing = [split for split in found.published if split not in found.splits]
    report.faults += [f"{found.folder}: no file of the split {split}" for split in missing]
    _add_statistics(report, list(shards.values()), takes_normalize=found.table is None)
    return report


def _check_shard(job: _Job) -> _Shard:
    """Check one file, reporting damage as a fault."""
    none = _Shard(job.path, 0, "", np.empty(0, np.int64), np.empty(0, np.int64), measure(np.empty((0, 1, 3))), [])
    keys = ("data", "label", "pid") if job.table else ("data", "label")
    try:
        with open_shard(job.path, keys) as file:
            num_clouds, num_points = check_layout(file, job.path)
            layout = f"{num_points} points, " + ", ".join(f"{key} {file[key].dtype}" for key in keys)
            rows, stats, faults = _check_points(file, job.path)
            labels, label_faults = _check_labels(file, job)
            return _Shard(job.path, num_clouds, layout, labels, rows, stats, faults + label_faults)
    except ValueError as error:
        return none._replace(faults=[str(error)])


def _check_points(file: h5py.File, path: Path) -> tuple[np.ndarray, CloudStats, list[str]]:
    """Return the rows of the sound clouds, their statistics, and a fault for each other cloud."""
    points = file["data"][:]
    if is_points_last(points.shape):
        points = points.swapaxes(1, 2)
    finite = np.isfinite(points).all(axis=(1, 2))
    flat = (points == points[:, :1]).all(axis=(1, 2))
    faults = [f"{path}: row {row} has points that are not finite" for row in np.flatnonzero(~finite)]
    faults += [f"{path}: row {row} has no size, all its points coincide" for row in np.flatnonzero(flat)]
    rows = np.flatnonzero(finite & ~flat)
    return rows, measure(points[rows]), faults


def _check_labels(file: h5py.File, job: _Job) -> tuple[np.ndarray, list[str]]:
    """Return the class labels, empty if any label is invalid, and the faults."""
    try:
        labels = read_labels(file, job.path, "label", job.num_classes, fix=_remedy(job.table))
        if job.table:
            read_part_labels(file, job.path, labels, job.table, fix=_remedy(job.table))
    except ValueError as error:
        return np.empty(0, np.int64), [str(error)]
    return labels, []


def _remedy(table: PartTable | None) -> str:
    if table is None:
        return "correct it or shape_names.txt beside it"
    if table == SHAPENET_PART:
        return "make or download it again; categories and parts of your own are named by --parts"
    return "correct it or the file of --parts"


def _count_line(counts: dict[str, int], published: dict[str, int]) -> str:
    held = ", ".join(f"{split} {count}" for split, count in counts.items())
    if counts == published:
        return f"clouds: {held} (the published split)"
    expected = ", ".join(f"{split} {count}" for split, count in published.items())
    return f"clouds: {held}; not the published split ({expected}), which is fine for data of your own"


def _class_line(histograms: dict[str, np.ndarray], names: Sequence[str]) -> str:
    columns = zip(names, zip(*histograms.values()))
    cells = ", ".join(f"{name}{GLUE}{'/'.join(str(count) for count in counts)}" for name, counts in columns)
    used = np.flatnonzero(sum(histograms.values()))
    labels = f"labels {used[0]} .. {used[-1]}" if len(used) else "no valid labels"
    return f"{len(names)} classes, {labels}; clouds of each ({'/'.join(histograms)}): {cells}"


def _class_notes(histograms: dict[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """Note the classes that a split lacks: they cannot be learned, or are never tested."""
    notes = []
    for split, histogram in histograms.items():
        empty = [name for name, count in zip(names, histogram) if count == 0]
        if empty and histogram.any():
            notes.append(f"{split} has no cloud of {', '.join(empty)}")
    return notes


def _add_statistics(report: Report, shards: list[_Shard], *, takes_normalize: bool) -> None:
    """Add what is measured, and to the next command --normalize where it takes that and clouds are far away."""
    stats = join([shard.stats for shard in shards])
    if len(stats.radius) == 0:
        return
    report.stats = stats
    report.facts += describe(stats, "; read with --normalize" if takes_normalize else "")
    if takes_normalize and count_far(stats):
        report.use += " --normalize"
    names = [f"{shard.path.name} row {row}" for shard in shards for row in shard.rows]
    report.notes += [f"equal clouds: {group}" for group in duplicates(stats, names)]
