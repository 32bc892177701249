"""Figures of curves: losses and scores over epochs, time and memory over sizes."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from utils.figures.plot_style import COLOURS, MARKERS

_LOSS_NAMES = {"loss/imid": "intra-modal (IMID)", "loss/cmid": "cross-modal (CMID)", "loss/total": "total"}
_SCORE_NAMES = {"svm": "linear SVM", "part_seg": "part segmentation"}


def loss_curves(records: Sequence[Mapping[str, float]], title: str = "") -> Figure:
    """Draw loss terms over the epochs and, below them, scores on held-out data.

    Args:
        records: objects of metrics.jsonl: "epoch", "loss/..." in nats, and in some epochs other "group/name" scores
            in [0, 1], such as "svm/modelnet40_val".
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
    """Collect (epochs, values) of every key that is drawn, over the records that have it."""
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
    """Draw figures against sizes on logarithmic axes: a row of panels for each figure, a column for each size.

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
