"""A sheet of pictures: queries and their answers in rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.figures.cloud_plots import draw_cloud

_SIDE_INCHES = 1.5
_MAX_POINTS = 1024  # drawn of a cloud


class Cell(NamedTuple):
    """A title, a picture (H, W, 3) uint8 or cloud (N, 3) with y up, and the colour of its frame, None for none."""

    title: str
    content: np.ndarray
    frame: str | None = None


def contact_sheet(rows: Sequence[Sequence[Cell]]) -> Figure:
    """Draw one row for each query: what was asked in bold, then the answers from left to right.

    Raises:
        ValueError: no row.
    """
    if not rows:
        raise ValueError("no query to show")
    width = max(map(len, rows))
    figure = Figure(figsize=(_SIDE_INCHES * width + 0.4, (_SIDE_INCHES + 0.45) * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), width, squeeze=False)
    for cells, line in zip(rows, grid):
        for axes in line[len(cells) :]:
            axes.set_axis_off()
        for number, (cell, axes) in enumerate(zip(cells, line)):
            _draw(axes, cell)
            axes.set_title(cell.title, fontsize="x-small", fontweight="normal" if number else "bold")
    return figure


def _draw(axes: Axes, cell: Cell) -> None:
    if cell.content.ndim == 3:
        axes.imshow(cell.content, interpolation="antialiased")
    else:
        draw_cloud(axes, cell.content[:: -(-len(cell.content) // _MAX_POINTS)])
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=cell.frame is not None, color=cell.frame or "none", linewidth=3)
