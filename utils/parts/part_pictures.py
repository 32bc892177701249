"""Examples of a part segmentation: a file of clouds, which scripts.report shows, and a picture."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from datasets.labels import PartCategory
from datasets.parts.part_table import PartTable
from datasets.parts.shapenet_part import ShapeNetPart
from utils.evaluation.metrics import shape_iou
from utils.figures.cloud_plots import draw_cloud
from utils.figures.plot_style import COLOURS, save_png
from utils.files import write_npz

COLUMNS = 8
FOREIGN = "0.75"  # colour of points predicted as a part of another category


class PartClouds(NamedTuple):
    """S clouds, a number of each category: points (S, N, 3), true and predicted parts (S, N), categories (S,)."""

    points: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    category: np.ndarray
    table: PartTable

    @classmethod
    def first_of_each(cls, clouds: ShapeNetPart, predicted: np.ndarray, number: int) -> "PartClouds":
        """Take the first `number` clouds of each category in file order.

        Args:
            predicted: (M, N) of all clouds.
        """
        categories = clouds.categories.numpy()
        rows = np.concatenate([np.flatnonzero(categories == value)[:number] for value in np.unique(categories)])
        arrays = clouds.points.numpy(), clouds.part_labels.numpy(), predicted, categories
        return cls(*(array[rows] for array in arrays), clouds.table)


def write_clouds(path: Path, clouds: PartClouds) -> None:
    """Write points (S, N, 3) float32, label and predicted (S, N) int64, category (S,) and part_names (P,) as text."""
    names = [f"{row.name} {part}" for row in clouds.table for part in row.parts]
    category = [clouds.table[index].name for index in clouds.category]
    arrays = clouds._asdict() | {"category": category, "part_names": names}
    del arrays["table"]
    write_npz(path, **arrays)


def write_picture(path: Path, clouds: PartClouds) -> None:
    """Write `part_panel` as a PNG."""
    save_png(part_panel(clouds), path, dpi=130)


def part_panel(clouds: PartClouds) -> Figure:
    """Draw true parts above predicted ones, eight clouds to a line, with a colour for each part of the category."""
    lines = -(-len(clouds.category) // COLUMNS)
    columns = min(len(clouds.category), COLUMNS)
    figure = Figure(figsize=(1.55 * columns + 0.4, 3.7 * lines + 0.2), layout="constrained")
    grid = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=[1, 1.25] * lines)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for number, (points, label, predicted, index) in enumerate(zip(*clouds[:4])):
        line, column = divmod(number, COLUMNS)
        above, below = grid[2 * line, column], grid[2 * line + 1, column]
        category = clouds.table[index]
        iou = shape_iou(label, predicted, category.part_labels)
        above.set_title(f"{category.name}, IoU {iou:.2f}", fontsize="small")
        draw_cloud(above, points, part_colours(label, category.part_labels))
        draw_cloud(below, points, part_colours(predicted, category.part_labels))
        _name_parts(below, category.parts)
    for line in range(lines):
        grid[2 * line, 0].set_ylabel("true", fontsize="medium")
        grid[2 * line + 1, 0].set_ylabel("predicted", fontsize="medium")
    figure.supxlabel("grey: predicted as a part of another category", fontsize="small")
    return figure


def coloured_panel(points: np.ndarray, part: np.ndarray, row: PartCategory) -> Figure:
    """Draw a cloud (N, 3), y up, from the front and from behind, with a colour for each part (N,), counted from 0."""
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    colours = part_colours(part + row.first_part, row.part_labels)
    for axes, azimuth in zip(figure.subplots(1, 2), (35.0, 215.0)):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        draw_cloud(axes, points, colours, azimuth_deg=azimuth)
    names = [f"{name} {(part == number).mean():.0%}" for number, name in enumerate(row.parts)]
    handles = [
        Line2D([], [], marker="o", linestyle="", color=COLOURS[number % len(COLOURS)], label=name)
        for number, name in enumerate(names)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(names), frameon=False)
    figure.suptitle(row.name)
    return figure


def part_colours(labels: np.ndarray, part_labels: range) -> np.ndarray:
    """Return a colour for each of the labels (N,), by its place in `part_labels`; grey for labels outside."""
    place = labels - part_labels.start
    is_own = (place >= 0) & (place < len(part_labels))
    return np.where(is_own, np.array(COLOURS)[place % len(COLOURS)], FOREIGN)


def rgb_bytes(colours: np.ndarray) -> np.ndarray:
    """Turn names of colours that matplotlib knows into red, green and blue. Shape: (N,) -> (N, 3) uint8."""
    kinds, place = np.unique(colours, return_inverse=True)
    return np.round(255 * np.array([to_rgb(kind) for kind in kinds])).astype(np.uint8)[place]


def _name_parts(axes: Axes, parts: tuple[str, ...]) -> None:
    for number, name in enumerate(parts):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot([], [], "o", color=colour, markersize=4, label=name)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=2,
        frameon=False,
        fontsize="xx-small",
        handletextpad=0.0,
        columnspacing=0.8,
    )
