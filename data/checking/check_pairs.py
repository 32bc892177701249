"""Validation of pairs of pixels and points, and what a report says of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.pairs.pair_tables import PAIRS, pairs_command, read_table
from datasets.pairs.pixel_pairs import STEPS, PixelPairs
from datasets.shapes.cameras import Camera, project
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import TreeShape

# Published: views of fewer pairs are left out, and 512 are drawn of a shape (selfsup_pcd, ACCV 2022).
ENOUGH_IN_VIEW, ENOUGH_IN_SHAPE = 129, 512


def check_table(
    root: Path, shape: TreeShape, cameras: Sequence[Camera] | None, faults: list[str]
) -> tuple[int, ...] | None:
    """Read the pairs of a shape with a sound cloud; add a fault, or return the number of pairs of each view.

    Args:
        cameras: of its views; None leaves places unchecked.
    """
    path, points = shape.render_folder(root) / PAIRS, read_points(shape.cloud_path(root))
    try:
        pairs = read_table(path, num_points=len(points), num_views=len(shape.views), remedy=pairs_command(root))
    except (ValueError, OSError) as error:
        faults.append(str(error))
        return None
    misplaced = None if cameras is None else _first_misplaced(pairs, points, cameras)
    if misplaced:
        faults.append(f"{path}: {misplaced}; delete it and make it again: {pairs_command(root)}")
        return None
    return tuple(pairs.per_view.tolist())


def _first_misplaced(pairs: PixelPairs, points: np.ndarray, cameras: Sequence[Camera]) -> str | None:
    """Describe the first pair whose point is not projected into its place, to a step of rounding."""
    for view, camera in enumerate(cameras):
        of_view = slice(*pairs.starts[view : view + 2])
        point, place = pairs.point[of_view], pairs.place[of_view]
        pixels, depth = project(camera, points[point])
        off = np.abs(pixels[:, ::-1] / camera.size * STEPS - (place + 0.5)).max(axis=1)
        bad = np.flatnonzero(~((off <= 1) & (depth > 0)))
        if len(bad):
            row, column = place[bad[0]] * np.array(camera.size) / STEPS
            u, v = pixels[bad[0]]
            return (
                f"{len(bad)} of {len(point)} pairs of view {view} are not where cameras.npz projects their points, "
                f"first point {point[bad[0]]}: at row {row:.2f}, column {column:.2f}, projected to {v:.2f}, {u:.2f}"
            )
    return None


def describe_pairs(names: Sequence[str], counts: Sequence[tuple[int, ...] | None]) -> tuple[list[str], list[str]]:
    """Return facts and notes on the pairs of shapes.

    Args:
        names: of all shapes.
        counts: number of pairs of each view, by shape; None for a shape without a sound table.
    """
    known = [(name, per_view) for name, per_view in zip(names, counts, strict=True) if per_view is not None]
    if not known:
        return [], []
    of_views = [count for _, per_view in known for count in per_view]
    facts = [
        f"pairs of pixels and points: {sum(of_views)} of {len(known)} shapes, "
        f"a view: {min(of_views)} .. {max(of_views)} (median {np.median(of_views):.0f})"
    ]
    sparse = [name for name, per_view in known if min(per_view) < ENOUGH_IN_VIEW]
    few = [f"{name} ({sum(per_view)})" for name, per_view in known if sum(per_view) < ENOUGH_IN_SHAPE]
    num_sparse = sum(count < ENOUGH_IN_VIEW for count in of_views)
    notes = []
    if sparse:
        notes.append(
            f"{num_sparse} of {len(of_views)} views have fewer than {ENOUGH_IN_VIEW} pairs, which the published code "
            f"leaves out; their {len(sparse)} shapes: {_first(sparse)}"
        )
    if few:
        notes.append(
            f"{len(few)} shapes have fewer than {ENOUGH_IN_SHAPE} pairs in all views together, the number that the "
            f"published training draws: {_first(few)}"
        )
    return facts, notes


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
