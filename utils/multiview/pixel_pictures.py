"""Files of pixels and points coloured by one projection of their features: arrays for scripts.report, and a picture."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

from matplotlib.figure import Figure

from utils.figures.cloud_plots import draw_cloud
from utils.figures.plot_style import save_png
from utils.files import write_npz
from utils.multiview.pixel_points import NEAR, PixelPoints, compare_shapes, first_of_categories, load_method
from utils.multiview.teacher import TaughtPairs
from utils.run.names import PIXEL_PICTURE_FILE, PIXEL_POINTS_FILE

_COLUMNS = ("view", "points in it", "its pixels")


def try_draw_pixel_points(run_dir: Path, taught: TaughtPairs, report: Callable[[str], None]) -> None:
    """Write both files for the first shapes of a run's data, but warn where that fails: it must not cost a training."""
    try:
        found = compare_shapes(load_method(taught, run_dir), taught.items, first_of_categories(taught.items.source))
        write_pixel_points(run_dir, found)
        report(summary(found))
    except Exception as error:  # a fault of the picture is not a fault of the run
        report(f"warning: no {run_dir / PIXEL_PICTURE_FILE}: {error}")


def write_pixel_points(run_dir: Path, found: PixelPoints) -> None:
    """Write pixel_points.npz, which scripts.report shows, and pixel_points.png."""
    write_npz(run_dir / PIXEL_POINTS_FILE, **found._asdict())
    draw_panel(found, run_dir / PIXEL_PICTURE_FILE)


def draw_panel(found: PixelPoints, path: Path) -> None:
    """Write `pixel_panel` as a PNG."""
    save_png(pixel_panel(found), path)


def summary(found: PixelPoints) -> str:
    """Say in a line how often pixels find their points."""
    shares = f"{found.found.mean():.1%} of pixels find their point, or one within {NEAR:g} radii of it"
    return f"pixels and points: {shares}; by chance {found.chance.mean():.1%} ({', '.join(found.name)})"


def pixel_panel(found: PixelPoints) -> Figure:
    """Draw a shape in each row: its cloud, then each view, the points seen in it, and its pixels."""
    num_shapes, num_views = found.views.shape[:2]
    width = 1 + len(_COLUMNS) * num_views
    figure = Figure(figsize=(1.25 * width + 0.5, 1.6 * num_shapes + 0.4), layout="constrained")
    grid = figure.subplots(num_shapes, width, squeeze=False, width_ratios=[1.4] + [1] * (width - 1))
    for row, (cloud, *line) in enumerate(grid):
        draw_cloud(cloud, found.points[row].astype(float), found.colours[row] / 255)
        category, _, shape = found.name[row].partition("/")
        cloud.set_title(f"{category}\n{shape[:18]}", fontsize="small")
        cloud.set_xlabel(f"found {found.found[row]:.0%}, chance {found.chance[row]:.0%}", fontsize="small")
        for axes, picture in zip(line, chain(*zip(found.views[row], found.points_seen[row], found.pixels[row]))):
            axes.imshow(picture, interpolation="nearest")
    for number, axes in enumerate(grid[0, 1:]):
        axes.set_title(_COLUMNS[number % len(_COLUMNS)], fontsize="small")
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.supxlabel("equal colours in a row: equal features, of points as of pixels", fontsize="small")
    return figure
