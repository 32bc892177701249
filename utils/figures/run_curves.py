"""The curves of a run, drawn from its metrics.jsonl."""

from collections.abc import Callable
from pathlib import Path

from utils.run.epoch_metrics import read_metrics
from utils.run.names import CURVE_FILE


def draw_curves(run_dir: Path, out: Path | None = None) -> Path:
    """Draw the run's losses and held-out scores; return the PNG's path, by default loss_curve.png in its folder.

    Raises:
        FileNotFoundError, ValueError: see `read_metrics`. OSError: the PNG cannot be written.
    """
    from utils.figures.curve_plots import loss_curves
    from utils.figures.plot_style import save_png  # late: matplotlib, which a training needs only at its end

    out = out or run_dir / CURVE_FILE
    save_png(loss_curves(read_metrics(run_dir), title=run_dir.name), out)
    return out


def try_draw_curves(run_dir: Path, report: Callable[[str], None]) -> None:
    """Call `draw_curves`, but warn where it fails: a missing picture must not cost the results of a training."""
    try:
        draw_curves(run_dir)
    except Exception as error:  # a fault of the picture is not a fault of the run
        report(f"warning: no {run_dir / CURVE_FILE}: {error}")
