"""What a run wrote into metrics.jsonl, read again, and the picture of it."""

import json
from collections.abc import Callable
from pathlib import Path

from utils.run.names import CURVE_FILE, METRICS_FILE


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """One object per epoch; of an epoch trained twice, before and after an interruption, the later one.

    Raises:
        FileNotFoundError: the run has no metrics.jsonl.
        ValueError: no epoch in it, or a line that is not such an object.
    """
    path = run_dir / METRICS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; is {run_dir} the folder of a training run?")
    by_epoch = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
            by_epoch[int(record["epoch"])] = record
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} line {number} is not an object with an epoch: {line[:80]!r}") from error
    if not by_epoch:
        raise ValueError(f"{path} is empty: the run has not finished an epoch yet")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def draw_curves(run_dir: Path, out: Path | None = None) -> Path:
    """Draw the run's losses and held-out figures as a PNG, by default loss_curve.png in its folder; the PNG's path.

    Raises:
        FileNotFoundError, ValueError: see `read_metrics`. OSError: the PNG cannot be written.
    """
    from utils.figures.plots import (  # imports matplotlib, which training does not need before its end
        loss_curves,
        save_png,
    )

    out = out or run_dir / CURVE_FILE
    save_png(loss_curves(read_metrics(run_dir), title=run_dir.name), out)
    return out


def try_draw_curves(run_dir: Path, report: Callable[[str], None]) -> None:
    """`draw_curves` at the end of a training, whose results a missing picture must not cost: it warns instead."""
    try:
        draw_curves(run_dir)
    except Exception as error:  # any fault of the picture is not a fault of the run
        report(f"warning: no {run_dir / CURVE_FILE}: {error}")
