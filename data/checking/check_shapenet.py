"""Validation of ShapeNet clouds and their ShapeNetRendering pictures, cameras, depth and pairs."""

import shlex
from collections import Counter
from functools import partial
from pathlib import Path

from data.checking.check_pairs import describe_pairs
from data.checking.check_report import GLUE, Report
from data.checking.check_shape import EXTRAS, ShapeResult, check_shape
from data.checking.cloud_stats import describe, duplicates, join, likely_up_axis
from data.parallel import Map
from datasets.labels import SHAPENET_PART
from datasets.layouts import CLOUDS, RENDERS
from datasets.pairs.pair_tables import PAIRS
from datasets.shapes.shape_tree import TreeShape, list_renders, list_shapes

PUBLISHED_BATCH = 20
TRAIN_POINTS = 2048  # the default of train_crosspoint.py
RENDER = "python -m data.render_views MESH_DIR --out"


def check_shapenet(root: Path, run: Map) -> Report:
    """Read every cloud and every picture below root and report on them."""
    remedy = f"make the files above again, or delete their shapes: {RENDER} {shlex.quote(str(root))}"
    report = Report(f"{CLOUDS} + {RENDERS}", root, remedy=remedy, use="")
    try:
        shapes = list_shapes(root)
    except FileNotFoundError as error:
        report.faults.append(str(error))
        return report
    results = list(run(partial(check_shape, root), shapes, report.title))
    report.use = _next_command(root, shapes, results)
    report.facts += _facts(shapes, results)
    report.notes += _notes(root, shapes, results)
    facts, notes = describe_pairs([str(shape) for shape in shapes], [result.pairs for result in results])
    report.facts += facts
    report.notes += notes
    report.faults += [fault for result in results for fault in result.faults]
    _add_statistics(report, root, shapes, results)
    return report


def _next_command(root: Path, shapes: list[TreeShape], results: list[ShapeResult]) -> str:
    """Return the command that trains on these shapes, or makes more of them."""
    if len(shapes) < 2:
        return f"{RENDER} {shlex.quote(str(root))} (more shapes: pre-training compares at least 2)"
    fewest = min((result.num_points for result in results if result.num_points), default=TRAIN_POINTS)
    return training_command(f"--data_root {shlex.quote(str(root))}", len(shapes), fewest)


def training_command(data: str, num_shapes: int, fewest_points: int) -> str:
    """Return the command that pre-trains on `data`, lowering the defaults that are too large for it."""
    flags = f" --batch_size {num_shapes}" if num_shapes < PUBLISHED_BATCH else ""
    flags += f" --num_points {fewest_points}" if fewest_points < TRAIN_POINTS else ""
    return f"python train_crosspoint.py {data} --model dgcnn --exp_name crosspoint{flags}"


def _facts(shapes: list[TreeShape], results: list[ShapeResult]) -> list[str]:
    points = _range(Counter(result.num_points for result in results if result.num_points))
    views = _range(Counter(len(shape.views) for shape in shapes))
    sizes = sorted({size for result in results for size in result.sizes})
    names = {category.synset: [category.name] for category in SHAPENET_PART}
    synsets = Counter(shape.synset for shape in shapes)
    cells = ", ".join(GLUE.join([*names.get(synset, ()), synset, str(n)]) for synset, n in synsets.items())
    present = [f"{name} for {sum(name in result.extras for result in results)} of {len(results)}" for name in EXTRAS]
    return [
        f"clouds: {len(shapes)} in {len(synsets)} folders, points a cloud: {points}",
        f"views a cloud: {views}; pictures: {sum(len(shape.views) for shape in shapes)}, "
        f"sizes (width x height): {', '.join(f'{width}x{height}' for width, height in sizes[:10]) or 'none'}",
        f"cameras and depth: {', '.join(present)} shapes",
        f"shapes by folder: {cells}",
    ]


def _range(counts: Counter[int]) -> str:
    if len(counts) <= 1:
        return ", ".join(str(value) for value in counts) or "none"
    return f"{min(counts)} .. {max(counts)} (mostly {counts.most_common(1)[0][0]})"


def _notes(root: Path, shapes: list[TreeShape], results: list[ShapeResult]) -> list[str]:
    known = {(shape.synset, shape.shape_id) for shape in shapes}
    orphans = [f"{synset}/{name}" for synset, name in list_renders(root) if (synset, name) not in known]
    notes = [f"{root / RENDERS / orphan}: renders without a cloud, never read" for orphan in orphans]
    opaque = sum(result.opaque for result in results)
    if opaque:
        notes.append(f"{opaque} pictures have no alpha: the chosen background does not show in them")
    notes += [f"{path}: nothing to see, every pixel is transparent" for result in results for path in result.blank]
    for name in (*EXTRAS, PAIRS):
        without = [str(shape) for shape, result in zip(shapes, results) if name not in result.extras]
        if 0 < len(without) < len(shapes):
            first = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
            notes.append(f"{len(without)} shapes have no {name}: {first}")
    return notes


def _add_statistics(report: Report, root: Path, shapes: list[TreeShape], results: list[ShapeResult]) -> None:
    sound = [(shape, result.stats) for shape, result in zip(shapes, results) if result.stats is not None]
    if not sound:
        return
    report.stats = join([stats for _, stats in sound])
    report.facts += describe(report.stats)
    if likely_up_axis(report.stats) in ("x", "z"):
        report.notes.append("the published augmentation turns clouds about y, and y does not look like up here")
    names = [str(shape.cloud_path(root)) for shape, _ in sound]
    report.notes += [f"equal clouds: {group}" for group in duplicates(report.stats, names)]
