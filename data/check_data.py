"""Check every data set below a folder: counts, shapes, labels, values, scale, up-axis, pictures, duplicates.

    python -m data.check_data data/shapes
    python -m data.check_data data/shapes/shapenet_render.h5        # what data.pack wrote
    python -m data.check_data data/tools --parts data/tools/parts.json    # categories and parts of your own

Names every faulty file and the command to run next. Exit status: 0 no faults, 1 faults found or a folder
that may not be read, 2 nothing to check.
"""

import argparse
import os
from pathlib import Path

from data.checking.check_hdf5 import check_hdf5_set
from data.checking.check_packed import check_packed
from data.checking.check_report import Report, render
from data.checking.check_scenes import LOOKED_FOR_SCENES, check_scenes
from data.checking.check_shapenet import check_shapenet
from data.checking.check_views import check_views, has_views
from data.checking.cloud_stats import likely_up_axis
from data.checking.find_sets import LOOKED_FOR, OwnParts, find_hdf5_sets, has_shapenet
from data.parallel import parallel_map
from datasets.layouts import fix
from datasets.parts.part_table import read_part_table
from utils.cli import run_main


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of data sets (a later --data_root), or a packed file")
    parser.add_argument("--parts", type=Path, help="JSON of categories and parts, as train_partseg.py takes it")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes; 1 stays in this one")
    parser.add_argument("--max_listed", type=int, help="entries printed of each list; all when left out")
    args = parser.parse_args(argv)
    if args.workers < 1 or (args.max_listed is not None and args.max_listed < 1):
        parser.error("--workers and --max_listed must be at least 1")
    return args


def main(args: argparse.Namespace) -> int:
    """Print a report on each data set, then the next command; return the exit status."""
    reports, unreadable = check_all(args.root, args.workers, args.parts)
    for report in reports:
        print(render(report, args.max_listed), end="\n\n")
    for line in _axis_conflicts(reports):
        print(line)
    faulty = [report for report in reports if report.faults]
    for report in faulty:
        print(f"{report.title}: {len(report.faults)} faults; next: {report.remedy}")
    for message in unreadable:
        print(message)
    if not faulty and not unreadable:
        print(f"no faults; next: {reports[0].use}")
    return 1 if faulty or unreadable else 0


def check_all(root: Path, workers: int, parts: Path | None = None) -> tuple[list[Report], list[str]]:
    """Report on each data set in root or below it, pre-training pairs first; root may also be a packed file.

    Args:
        parts: file of the categories and parts that part labels mean; None takes ShapeNetPart's.
    Returns:
        the reports, and a message for each folder that may not be read.
    Raises:
        FileNotFoundError: no such folder, or no data set in it.
        ValueError: `parts` is damaged, or no data set has part labels.
    """
    own = OwnParts(parts, read_part_table(parts)) if parts else None
    if root.is_file():
        with parallel_map(workers) as run:
            return [check_packed(root, run)], []
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; run: {fix('all')}")
    hdf5_sets, unreadable = find_hdf5_sets(root, own)
    if own and not any(found.table for found in hdf5_sets):
        raise ValueError(f"--parts {parts}: no ply_data_*.h5 with part labels (pid) below {root}")
    with parallel_map(workers) as run:
        reports = [check_shapenet(root, run)] if has_shapenet(root) else []
        reports += [check_views(root, run)] if has_views(root) else []
        reports += check_scenes(root, run)
        reports += [check_hdf5_set(found, run) for found in hdf5_sets]
    if not reports:
        looked_for = "; ".join([*LOOKED_FOR, *LOOKED_FOR_SCENES, *unreadable])
        raise FileNotFoundError(f"no data set in {root}; looked for {looked_for}; run: {fix('all')}")
    return reports, unreadable


def _axis_conflicts(reports: list[Report]) -> list[str]:
    """Note if the sets have different up-axes: features of one then do not transfer to the other."""
    measured = [(report, likely_up_axis(report.stats)) for report in reports if report.stats is not None]
    if len({axis for _, axis in measured if axis}) < 2:
        return []
    found = ", ".join(f"{report.title} in {report.folder} {axis}" for report, axis in measured if axis)
    return [f"note: the sets look upright along different axes ({found}); turn one before comparing features"]


if __name__ == "__main__":
    run_main(main, parse_args())
