"""Figures of labelled classes: maps of features and confusion matrices."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from utils.figures.plot_style import COLOURS, MARKERS

_LABEL_MAX = 20  # a confusion matrix of more classes has no room for numbers


def feature_maps(maps: Mapping[str, np.ndarray], labels: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw two-dimensional maps of features side by side, one colour and marker per class.

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
    """Choose colour and marker of a class: distinct for the first 72; neighbours in the list differ in both."""
    turn, colour = divmod(label, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + 2 * turn) % len(MARKERS)]}


def draw_confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str], title: str = ""
) -> Figure:
    """Draw the share of each true class (row) that was predicted as each class (column), in percent.

    Args:
        labels, predictions: (M,) whole numbers in [0, Y), Y = len(class_names).
    """
    num_classes = len(class_names)
    counts = confusion_matrix(labels, predictions, labels=range(num_classes))
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
