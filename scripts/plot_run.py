"""Draw the losses and held-out accuracies of a pre-training run.

    python -m scripts.plot_run checkpoints/quickstart

Reads metrics.jsonl in the run's folder and writes loss_curve.png there.
"""

import argparse
import json
from pathlib import Path

from utils.cli import run_main
from utils.plots import loss_curves, save_png


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path, help="folder of the run: checkpoints/<exp_name>")
    parser.add_argument("--out", type=Path, default=None, help="PNG file; default: loss_curve.png in the run's folder")
    return parser.parse_args(argv)


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """One object per epoch; of an epoch trained twice, before and after an interruption, the later one.

    Raises:
        FileNotFoundError: the run has no metrics.jsonl.
        ValueError: no epoch in it, or a line that is not such an object.
    """
    path = run_dir / "metrics.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; is {run_dir} the folder of a run of train_crosspoint.py?")
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


def main(args: argparse.Namespace) -> None:
    out = args.out or args.run_dir / "loss_curve.png"
    save_png(loss_curves(read_metrics(args.run_dir), title=args.run_dir.name), out)
    print(f"wrote {out}")


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
