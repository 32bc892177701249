"""Pictures of rooms from above, with the boxes of their objects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datasets.detection.scene_boxes import SceneBoxes, box_corners
from utils.figures.plot_style import COLOURS

COLUMNS, MOST_POINTS = 3, 12_000
_CUT_M = 1.9  # above the floor: what is higher, such as the ceiling, hides what is to be seen
_TRUE, _FOUND = COLOURS[2], COLOURS[4]


class BoxedPicture(NamedTuple):
    """A room to draw: its name, points (N, 3 or more) with z up, true and found boxes."""

    name: str
    points: np.ndarray
    true: SceneBoxes
    found: SceneBoxes


def box_panel(rooms: Sequence[BoxedPicture], classes: Sequence[str]) -> Figure:
    """Draw rooms from above, three to a line: true boxes whole, found ones dashed, with the names of their classes."""
    lines = -(-len(rooms) // COLUMNS)
    columns = min(len(rooms), COLUMNS)
    figure = Figure(figsize=(4.2 * columns, 4.4 * lines + 0.4), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
    for axes, room in zip(grid.flat, rooms):
        axes.set_title(f"{room.name}: {len(room.true.label)} true, {len(room.found.label)} found", fontsize="small")
        points = room.points[:: max(1, len(room.points) // MOST_POINTS)]
        points = points[points[:, 2] < np.quantile(points[:, 2], 0.01) + _CUT_M]
        axes.scatter(points[:, 0], points[:, 1], s=1.5, c="0.65", linewidths=0, rasterized=True)
        _draw(axes, room.true, classes, _TRUE, "-")
        _draw(axes, room.found, classes, _FOUND, "--")
    figure.supxlabel("from above; green: true boxes, dashed orange: found, objectness above 0.5", fontsize="small")
    return figure


def _draw(axes: Axes, boxes: SceneBoxes, classes: Sequence[str], colour: str, line: str) -> None:
    for corners, label in zip(box_corners(boxes)[:, [0, 1, 2, 3, 0], :2], boxes.label):
        axes.plot(*corners.T, line, color=colour, linewidth=1.2)
        place = corners[corners[:, 1].argmax()] if line == "-" else corners[corners[:, 1].argmin()]
        side = "bottom" if line == "-" else "top"
        axes.annotate(classes[label], place, color=colour, fontsize=6, va=side, ha="center")
