"""Draw the losses and held-out figures of a training run.

    python -m scripts.plot_run checkpoints/quickstart

Reads metrics.jsonl in the run's folder and writes loss_curve.png there, as a training does by itself at its end.
"""

import argparse
from pathlib import Path

from utils.cli import run_main
from utils.figures.run_curves import draw_curves
from utils.flags import program_parser
from utils.output_files import check_png_path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of the run: checkpoints/<exp_name>")
    parser.add_argument("--out", type=Path, default=None, help="PNG file; default: loss_curve.png in the run's folder")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    check_png_path(args.out)
    print(f"wrote {draw_curves(args.run_dir, args.out)}")


if __name__ == "__main__":
    run_main(main, parse_args())
