"""Validation of a packed file of pre-training pairs."""

import shlex
from functools import cache, partial
from pathlib import Path

from data.checking.check_pairs import describe_pairs
from data.checking.check_report import Report
from data.checking.check_shapenet import training_command
from data.parallel import Map
from datasets.pairs.packed_file import PackedFile, is_packed, pack_command


def check_packed(path: Path, run: Map) -> Report:
    """Read every cloud, every view and all pairs of the file and report on them."""
    name = shlex.quote(str(path))
    report = Report("packed pairs", path, remedy="", use="")
    report.remedy = f"{pack_command(path)} --overwrite" if is_packed(path) else pack_command("NEW.h5")
    try:
        file = PackedFile(path)
    except (ValueError, OSError) as error:
        report.faults.append(str(error))
        return report
    report.remedy = f"{pack_command(path, file.provenance.get('root'))} --overwrite"
    shapes = range(len(file))
    points = [file.num_points(shape) for shape in shapes]
    report.use = (
        training_command(f"--packed {name}", len(file), min(points))
        if len(file) > 1
        else f"pack more shapes: {report.remedy} (pre-training compares at least 2)"
    )
    report.facts += [
        f"clouds: {len(file)}, points a cloud: {min(points)} .. {max(points)}",
        f"views: {sum(map(file.num_views, shapes))}, sizes (width x height): "
        + ", ".join(f"{width}x{height}" for height, width in file.view_sizes[:10]),
        f"packed from {file.provenance.get('root')} by commit {file.provenance.get('commit')}",
    ]
    results = list(run(partial(_check_shape, path), shapes, report.title))
    report.faults += [fault for faults, _ in results for fault in faults]
    facts, notes = describe_pairs([file.name(shape) for shape in shapes], [pairs for _, pairs in results])
    report.facts += facts or ([] if file.has_pairs else ["no pairs of pixels and points"])
    report.notes += notes
    return report


_open = cache(PackedFile)  # opened once per process


def _check_shape(path: Path, shape: int) -> tuple[list[str], tuple[int, ...] | None]:
    """Return the faults of a shape and, if it has sound pairs, their number in each view."""
    file, faults, pairs = _open(path), [], None
    for read in [file.read_points, *(partial(file.read_view, view=v) for v in range(file.num_views(shape)))]:
        try:
            read(shape)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    if file.has_pairs:
        try:
            pairs = tuple(file.read_pairs(shape).per_view.tolist())
        except (ValueError, OSError) as error:
            faults.append(str(error))
    return faults, pairs
