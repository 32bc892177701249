"""Figures of clouds, and of clouds above images of the same shapes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class PanelColumn(NamedTuple):
    """One shape of `shape_panel`: its title, clouds (N, 3) with y up, and images (H, W, 3 or 4) uint8."""

    title: str
    clouds: Sequence[np.ndarray]
    images: Sequence[np.ndarray]


def shape_panel(columns: Sequence[PanelColumn], row_names: Sequence[str]) -> Figure:
    """Draw a grid with one shape per column: its clouds, then its images.

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


def draw_cloud(axes: Axes, points: np.ndarray, colours: np.ndarray | None = None, azimuth_deg: float = 35.0) -> None:
    """Draw points (N, 3), y up, seen from the front right and above; near ones last, and dark without `colours`.

    Args:
        colours: (N,) of names matplotlib knows, or (N, 3) of red, green and blue in [0, 1].
    """
    a, e = np.radians([azimuth_deg, 25.0])  # the second is the elevation
    right = np.array([np.cos(a), 0, -np.sin(a)])
    towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    u, v, nearness = np.stack([right, np.cross(towards, right), towards]) @ points.T
    order = np.argsort(nearness)
    shade = {"c": -nearness[order], "cmap": "cividis"} if colours is None else {"c": colours[order]}
    axes.scatter(u[order], v[order], s=2.5, linewidths=0, **shade)
    radius = 1.05 * max(np.ptp(u), np.ptp(v)) / 2
    centre_u, centre_v = (u.max() + u.min()) / 2, (v.max() + v.min()) / 2
    axes.set(xlim=(centre_u - radius, centre_u + radius), ylim=(centre_v - radius, centre_v + radius), aspect="equal")
