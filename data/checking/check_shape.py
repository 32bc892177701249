"""Validation of one shape: its cloud, pictures, cameras, depth and pairs."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.checking.check_pairs import check_table
from data.checking.cloud_stats import CloudStats, measure
from datasets.pairs.pair_tables import PAIRS
from datasets.shapes.cameras import read_cameras
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import TreeShape
from datasets.shapes.views import open_view, plain_colours
from utils.files import read_npz

EXTRAS = ("cameras.npz", "depth.npz")


class ShapeResult(NamedTuple):
    """Findings on one shape.

    `stats` has one row, or is None for a faulty cloud; `sizes` are the (width, height) of its pictures; `opaque` counts
    pictures without alpha; `blank` names pictures without any visible pixel; `extras` are the npz files present;
    `pairs` are the numbers of pairs of its views, None without a sound table.
    """

    num_points: int
    stats: CloudStats | None
    sizes: frozenset[tuple[int, int]]
    opaque: int
    blank: tuple[str, ...]
    extras: frozenset[str]
    pairs: tuple[int, ...] | None
    faults: tuple[str, ...]


def check_shape(root: Path, shape: TreeShape) -> ShapeResult:
    """Read every file of one shape and collect the faults of all."""
    faults: list[str] = []
    num_points, stats = _check_cloud(shape.cloud_path(root), faults)
    if not shape.views:
        faults.append(f"{shape.cloud_path(root)}: no picture in {shape.view_folder(root)}")
    sizes, opaque, blank = _check_views([shape.view_folder(root) / name for name in shape.views], faults)
    folder = shape.render_folder(root)
    extras = frozenset(name for name in (*EXTRAS, PAIRS) if (folder / name).is_file())
    bad = {name: _check_extra(folder / name, len(shape.views), sizes) for name in EXTRAS if name in extras}
    faults += [fault for fault in bad.values() if fault]
    pairs = None
    if PAIRS in extras and num_points and shape.views:
        cameras = read_cameras(folder / "cameras.npz") if "cameras.npz" in bad and not bad["cameras.npz"] else None
        pairs = check_table(root, shape, cameras, faults)
    return ShapeResult(num_points, stats, sizes, opaque, blank, extras, pairs, tuple(faults))


def _check_cloud(path: Path, faults: list[str]) -> tuple[int, CloudStats | None]:
    try:
        points = read_points(path)
    except (ValueError, FileNotFoundError) as error:
        faults.append(str(error))
        return 0, None
    if np.ptp(points, axis=0).max() == 0:
        faults.append(f"{path}: the cloud has no size, all its points coincide")
        return len(points), None
    return len(points), measure(points[None])


def _check_views(paths: list[Path], faults: list[str]) -> tuple[frozenset[tuple[int, int]], int, tuple[str, ...]]:
    """Return the sizes of the pictures, the number of those without alpha and the names of blank ones."""
    sizes, opaque, blank = set(), 0, []
    for path in paths:
        try:
            image = open_view(path)
        except (ValueError, FileNotFoundError) as error:
            faults.append(str(error))
            continue
        try:
            pixels = plain_colours(image)
        except ValueError as error:
            faults.append(f"{path} {error}")
            continue
        if max(high for _, high in pixels.getextrema()[:3]) == 1:
            faults.append(f"{path}: its colours are 0 and 1 of 255 only; store them from 0 to 255")
        sizes.add(image.size)
        opaque += not image.has_transparency_data
        if image.mode == "RGBA" and image.getchannel("A").getextrema()[1] == 0:
            blank.append(str(path))
    return frozenset(sizes), opaque, tuple(blank)


def _check_extra(path: Path, num_views: int, sizes: frozenset[tuple[int, int]]) -> str | None:
    """Return the fault of a cameras.npz or depth.npz, None if it fits the pictures."""
    try:
        found = read_npz(path)
    except (OSError, ValueError) as error:
        return f"{error}; render the shape again"
    width, height = next(iter(sizes)) if len(sizes) == 1 else (None, None)
    if path.name == "depth.npz":
        expected = {"depth": (num_views, height, width)}
    else:
        expected = {"intrinsics": (num_views, 3, 3), "extrinsics": (num_views, 4, 4), "size": (2,)}
    for key, shape in expected.items():
        held = found[key].shape if key in found else None
        if held is None or len(held) != len(shape) or any(w not in (None, h) for h, w in zip(held, shape)):
            return f"{path}: {key} has shape {held}, expected {shape} for its pictures; render the shape again"
    if "size" in found and height is not None and found["size"].tolist() != [height, width]:
        return f"{path}: size is {found['size'].tolist()}, the pictures have {[height, width]}; render the shape again"
    bad = [key for key, array in found.items() if not np.isfinite(array).all()]
    return f"{path}: {', '.join(bad)} not finite; render the shape again" if bad else None
