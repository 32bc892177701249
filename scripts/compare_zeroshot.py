"""Compare zero-shot results of several towers on one set of shapes with views: a table, and a row of pictures of each.

    python -m scripts.compare_zeroshot zero-shot.json separate.json joint.json --data_root data/scanned_test \
        --table results.md --out pictures.png

Reads reports of scripts.eval_zeroshot --dataset shapes; the name of a file is that of its row. The pictures are of the
same few shapes for all, spread evenly over the set and not chosen by their results: the cloud, in a green frame where
points alone give the right class, and both answers in words.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from utils.cli import run_main
from utils.figures.contact_sheet import Cell, contact_sheet
from utils.figures.plot_style import COLOURS, save_png
from utils.files import write_text
from utils.flags import program_parser, require_at_least
from utils.markdown import table
from utils.output_files import check_png_path
from utils.texts.zero_shot_sets import SHAPES, ZeroShotSet, ZeroShotSetSettings, open_zero_shot_set

PROTOCOLS = {"points": "points", "image": "one view", "views": "all views", "both": "points and all views"}
RIGHT, WRONG = COLOURS[2], COLOURS[4]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the reports and where to write."""
    parser = program_parser(__doc__)
    parser.add_argument("reports", type=Path, nargs="+", metavar="REPORT", help="--json of scripts.eval_zeroshot")
    parser.add_argument("--data_root", required=True, help="folder of the shapes, that of the reports")
    parser.add_argument("--table", type=Path, help="also write the table to this Markdown file")
    parser.add_argument("--out", type=Path, required=True, help="PNG of the pictures")
    parser.add_argument("--draw", nargs="+", metavar="NAME", help="rows of pictures (default: all of the table)")
    parser.add_argument("--shapes", type=int, default=8, help="pictures of a row")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Read, print the table, draw."""
    require_at_least(1, args, "shapes")
    check_png_path(args.out)
    reports = {path.stem: read_report(path) for path in args.reports}
    if missing := [name for name in args.draw or [] if name not in reports]:
        raise ValueError(f"--draw {missing[0]}: no such report; expected some of {', '.join(reports)}")
    first = next(iter(reports.values()))["points"]
    settings = {"dataset": SHAPES, "data_root": args.data_root, "classes": ",".join(first["class_names"])}
    shapes = open_zero_shot_set(ZeroShotSetSettings(**settings, num_points=first["num_points"]))
    for name, report in reports.items():
        if (counts := {len(record["predicted"]) for record in report.values()}) != {len(shapes)}:
            raise ValueError(
                f"{name} is of {max(counts)} shapes, {args.data_root} holds {len(shapes)}: evaluate it again"
            )
    text = table(["top-1 (%)", *PROTOCOLS.values()], (table_row(*item) for item in reports.items()))
    print(text)
    if args.table:
        write_text(args.table, text + "\n")
    chosen = np.unique(np.linspace(0, len(shapes) - 1, min(args.shapes, len(shapes))).round().astype(int))
    drawn = [cells(name, reports[name], shapes, chosen) for name in args.draw or reports]
    save_png(contact_sheet(drawn), args.out)
    print(f"wrote {args.out}")


def read_report(path: Path) -> dict[str, dict[str, Any]]:
    """Read the records of a report: protocol -> record.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no report of zero-shot classification from points and views.
    """
    try:
        records = {record["protocol"]: record for record in json.loads(path.read_text(encoding="utf-8"))["results"]}
        for name in PROTOCOLS:
            records[name]["predicted"], records[name]["accuracy"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no report of scripts.eval_zeroshot on shapes with views ({error!r}); make it again with --json"
        ) from error
    return records


def table_row(name: str, report: dict[str, dict[str, Any]]) -> list[str]:
    """Return the name and the top-1 accuracy by each protocol."""
    return [name, *(f"{100 * report[protocol]['accuracy']:.1f}" for protocol in PROTOCOLS)]


def cells(name: str, report: dict[str, dict[str, Any]], shapes: ZeroShotSet, chosen: np.ndarray) -> list[Cell]:
    """Return the pictures of a row; the first says whose it is."""
    points, views = report["points"], report["views"]
    row = []
    for number, index in enumerate(chosen.tolist()):
        answers = (points["class_names"][record["predicted"][index]] for record in (points, views))
        words = "points {}\nimages {}".format(*answers)
        is_right = points["predicted"][index] == shapes.labels[index]
        title = words if number else f"{name}\n{words}"
        row.append(Cell(title, shapes.cloud(index).numpy(), RIGHT if is_right else WRONG))
    return row


if __name__ == "__main__":
    run_main(main, parse_args())
