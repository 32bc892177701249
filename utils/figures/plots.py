"""Figures of runs and results. Each function returns a Figure and touches no global matplotlib state.

Save one with `save_png`. Colours are Okabe and Ito's, told apart with any colour vision; where there are
more classes than colours, the marker's shape says the rest.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from PIL import Image

from utils.files import write_atomically

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#B8A800")
MARKERS = "osX^DvP*<"
_LABEL_MAX = 20  # up to so many classes a confusion matrix has room for numbers
_LOSS_NAMES = {"loss/imid": "intra-modal (IMID)", "loss/cmid": "cross-modal (CMID)", "loss/total": "total"}
_SCORE_NAMES = {"svm": "linear SVM", "part_seg": "part segmentation"}


class PanelColumn(NamedTuple):
    """One shape of `shape_panel`: its title, clouds (N, 3) with y up, and images (H, W, 3 or 4) uint8."""

    title: str
    clouds: Sequence[np.ndarray]
    images: Sequence[np.ndarray]


def loss_curves(records: Sequence[Mapping[str, float]], title: str = "") -> Figure:
    """Loss terms over the epochs and, below them, figures on held-out data.

    Args:
        records: objects of metrics.jsonl: "epoch", "loss/..." in nats, and in the epochs that have them other
            "group/name" figures in [0, 1], such as "svm/modelnet40_val".
    Raises:
        ValueError: no record.
    """
    if not records:
        raise ValueError("no epoch to draw: the list of records is empty")
    losses = _series(records, lambda key: key.startswith("loss/"))
    scores = _series(records, lambda key: "/" in key and not key.startswith("loss/"))
    figure = Figure(figsize=(7, 5.2 if scores else 3.4), layout="constrained")
    axes = figure.subplots(2 if scores else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 2][: 1 + bool(scores)])
    _draw_series(axes[0, 0], losses, _LOSS_NAMES)
    axes[0, 0].set(ylabel="loss (nats)", title=title)
    if scores:
        names = {key: key.split("/", 1)[1].removesuffix("_val").removeprefix("val_") for key in scores}
        groups = dict.fromkeys(key.split("/")[0] for key in scores)
        percent = {key: (epochs, [100 * value for value in values]) for key, (epochs, values) in scores.items()}
        _draw_series(axes[1, 0], percent, names)
        axes[1, 0].set(ylabel=f"{', '.join(_SCORE_NAMES.get(group, group) for group in groups)} on\nheld-out val (%)")
    axes[-1, 0].set_xlabel("epoch")
    axes[-1, 0].xaxis.get_major_locator().set_params(integer=True)
    return figure


def _series(
    records: Sequence[Mapping[str, float]], is_drawn: Callable[[str], bool]
) -> dict[str, tuple[list[int], list[float]]]:
    """Every key that is drawn -> (epochs, values), over the records that have it."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for record in records:
        for key in filter(is_drawn, record):
            epochs, values = found.setdefault(key, ([], []))
            epochs.append(record["epoch"])
            values.append(record[key])
    return found


def _draw_series(axes: Axes, series: dict[str, tuple[list[int], list[float]]], names: Mapping[str, str]) -> None:
    for number, (key, (epochs, values)) in enumerate(series.items()):
        axes.plot(
            epochs,
            values,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            label=f"{names.get(key, key)}: {values[-1]:.3g} at the end",
        )
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def growth_panels(panels: Mapping[tuple[str, str], Mapping[str, tuple[Sequence[float], Sequence[float]]]]) -> Figure:
    """Figures against sizes on logarithmic axes, a grid of panels: one row for each figure, one column for each size.

    Args:
        panels: (name of the figure, name of the size) -> label -> sizes and values, all > 0.
    """
    rows, columns = (list(dict.fromkeys(place[axis] for place in panels)) for axis in (0, 1))
    figure = Figure(figsize=(3.4 * len(columns), 2.8 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for (row, column), lines in panels.items():
        axes = grid[rows.index(row), columns.index(column)]
        axes.set_visible(True)
        for number, (label, (sizes, values)) in enumerate(lines.items()):
            axes.loglog(sizes, values, color=COLOURS[number], marker=MARKERS[number], markersize=4, label=label)
        axes.set(xlabel=column, ylabel=row)
        ticks = sorted({size for sizes, _ in lines.values() for size in sizes})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
    return figure


def feature_maps(maps: Mapping[str, np.ndarray], labels: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Two-dimensional maps of features side by side, one colour and marker per class.

    Args:
        maps: title -> (M, 2), such as random and pre-trained.
        labels: (M,) class of each row, the same for all maps.
    """
    columns = 8 if len(class_names) <= 24 else 10
    rows = -(-len(class_names) // columns)
    figure = Figure(figsize=(5.2 * len(maps), 5.2 + 0.22 * rows), layout="constrained")
    for axes, (title, points) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps.items()):
        for label, name in enumerate(class_names):
            x, y = points[labels == label].T
            axes.scatter(x, y, s=22, label=name, linewidths=0, alpha=0.85, **_style(label))
        axes.set(title=title, xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    handles, names = axes.get_legend_handles_labels()
    size = "small" if len(class_names) <= 24 else "xx-small"
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=size)
    return figure


def _style(label: int) -> dict[str, str]:
    """Colour and marker of a class: distinct for the first 72; neighbours in the list differ in both."""
    turn, colour = divmod(label, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + 2 * turn) % len(MARKERS)]}


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str], title: str = ""
) -> Figure:
    """Share of each true class (row) that was given to each class (column), in percent.

    Args:
        labels, predictions: (M,) whole numbers in [0, Y), Y = len(class_names).
    """
    num_classes = len(class_names)
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (labels, predictions), 1)
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    has_numbers = num_classes <= _LABEL_MAX
    side = 1.5 + num_classes * (0.36 if has_numbers else 0.135)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    size = "small" if has_numbers else 6
    axes.set_xticks(range(num_classes), class_names, rotation=90, fontsize=size)
    axes.set_yticks(range(num_classes), class_names, fontsize=size)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for row, column in zip(*np.nonzero(percent)) if has_numbers else ():
        shade = "white" if percent[row, column] > 55 else "black"
        axes.text(column, row, f"{percent[row, column]:.0f}", ha="center", va="center", color=shade, fontsize="small")
    figure.colorbar(image, ax=axes, label="% of the true class", shrink=0.6)
    return figure


def shape_panel(columns: Sequence[PanelColumn], row_names: Sequence[str]) -> Figure:
    """A grid with one shape per column: its clouds, then its images.

    Args:
        columns: all with the same number of clouds and of images.
        row_names: one for each cloud and each image.
    """
    figure = Figure(figsize=(1.35 * len(columns) + 0.4, 1.35 * len(row_names) + 0.3), layout="constrained")
    grid = figure.subplots(len(row_names), len(columns), squeeze=False)
    for number, column in enumerate(columns):
        grid[0, number].set_title(column.title, fontsize="medium")
        for axes, points in zip(grid[:, number], column.clouds):
            draw_cloud(axes, points)
        for axes, image in zip(grid[len(column.clouds) :, number], column.images):
            axes.imshow(image, interpolation="antialiased")
    for axes, name in zip(grid[:, 0], row_names):
        axes.set_ylabel(name, fontsize="medium")
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def draw_cloud(
    axes: Axes,
    points: np.ndarray,
    colours: np.ndarray | None = None,
    azimuth_deg: float = 35.0,
    elevation_deg: float = 25.0,
) -> None:
    """Points (N, 3) with y up from the front, side and above; near ones are drawn last, and dark without `colours`.

    Args:
        colours: (N,) of names matplotlib knows.
    """
    a, e = np.radians([azimuth_deg, elevation_deg])
    right = np.array([np.cos(a), 0, -np.sin(a)])
    towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    u, v, nearness = np.stack([right, np.cross(towards, right), towards]) @ points.T
    order = np.argsort(nearness)
    shade = {"c": -nearness[order], "cmap": "cividis"} if colours is None else {"c": colours[order]}
    axes.scatter(u[order], v[order], s=2.5, linewidths=0, **shade)
    radius = 1.05 * max(np.ptp(u), np.ptp(v)) / 2
    centre_u, centre_v = (u.max() + u.min()) / 2, (v.max() + v.min()) / 2
    axes.set(xlim=(centre_u - radius, centre_u + radius), ylim=(centre_v - radius, centre_v + radius), aspect="equal")


def save_png(figure: Figure, path: str | Path, dpi: int = 100) -> None:
    """Write a PNG of at most 256 colours, a third of the usual size; folders are made as needed."""
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=dpi)
        with Image.open(buffer) as image:
            small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    write_atomically(Path(path), lambda stream: small.save(stream, format="PNG", optimize=True))
