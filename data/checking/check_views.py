"""Validation of the published layout of multi-view pre-training, see datasets/pairs/modelnet_views.py."""

import shlex
from functools import cache, partial
from pathlib import Path

from data.checking.check_pairs import describe_pairs
from data.checking.check_report import Report
from data.parallel import Map
from datasets.pairs.modelnet_views import CLASSES, ModelNetViews

PUBLISHED_BATCH = 512  # objects of a step of the image stage


def has_views(root: Path) -> bool:
    """Return whether root is a folder of clouds of that layout."""
    return (root / CLASSES).is_file()


def check_views(root: Path, run: Map) -> Report:
    """Read every cloud, every picture and all pairs of the train split and report on them."""
    report = Report("multi-view ModelNet40", root, remedy="repair the files named, or delete their shapes", use="")
    try:
        data = ModelNetViews(root, num_points=2)
    except (ValueError, OSError) as error:
        report.faults.append(str(error))
        return report
    shapes = range(len(data))
    views = [data.num_views(shape) for shape in shapes]
    batch = f" --batch_size {len(data)}" if len(data) < PUBLISHED_BATCH else ""
    report.use = f"python -m scripts.pretrain_images --data_root {shlex.quote(str(root))} --exp_name views{batch}"
    results = list(run(partial(_check_shape, root), shapes, report.title))
    names = [data.name(shape) for shape in shapes]
    report.faults += [fault for faults, _ in results for fault in faults]
    facts, notes = describe_pairs(names, [pairs for _, pairs in results])
    report.facts += [f"clouds: {len(data)}, views a cloud: {min(views)} .. {max(views)}", *facts]
    report.notes += notes
    if data.left_out:
        report.notes.append(f"{len(data.left_out)} clouds without a view are left out: {', '.join(data.left_out[:5])}")
    if fewer := [name for name, count in zip(names, views) if count < max(views)]:
        report.notes.append(
            f"{len(fewer)} shapes have fewer than {max(views)} views, for which --views {max(views)} refuses them, or "
            f"leaves them out with --on_bad_sample skip: {', '.join(fewer[:5])}"
        )
    return report


_open = cache(partial(ModelNetViews, num_points=2))  # listed once per process


def _check_shape(root: Path, shape: int) -> tuple[list[str], tuple[int, ...] | None]:
    """Return the faults of a shape and, if it has sound pairs, their number in each view."""
    data, faults, pairs = _open(root), [], None
    for view in range(data.num_views(shape)):
        try:
            data.read_pixels(shape, view)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    try:
        pairs = tuple(data.read_pixel_pairs(shape).per_view.tolist())  # parses the cloud too
    except (ValueError, OSError) as error:
        faults.append(str(error))
    return faults, pairs
