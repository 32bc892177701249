"""Write the recorded measurements into docs/speed.md, with a plot of how they grow, and five of them into the README.

    python -m benchmarks.report

Everything comes from benchmarks/results.csv, which the benchmarks fill with --record.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.growth import Growth, find_growth
from benchmarks.harness.records import OUT_OF_MEMORY, RESULTS, parse_setting, read_csv
from utils import markdown
from utils.cli import run_main
from utils.csv_rows import Row
from utils.figures.curve_plots import growth_panels
from utils.figures.plot_style import save_png

SECTION = "speed"
NOTHING_YET = "Nothing is recorded yet. `python -m benchmarks.step` measures your own machine."
PLOT = "scaling.png"  # beside the page
_TITLES = {
    "step": "Training step (forward and backward) and inference of DGCNN, published formulation against ours",
    "knn": "Exact neighbour search",
    "svm": 'Linear SVM, `SVC(kernel="linear")` against ours',
    "copies": "Training step on augmented clouds, each copy of point 0 computed against all of them at once",
    "micro_batch": "One CrossPoint step in micro-batches; 0: in one piece",
    "multiview_step": "One step of multi-view pre-training, items read: our point encoder alone, ours, as published",
    "point_towers": "Groups of points, and a training step of each point tower, published formulation against ours",
    "sparse_conv": "Sparse convolution, 3^3, of a room's voxels: a plain gather and scatter against ours",
    "busy_cores": "Training step on idle and on busy cores: threads wait awake by default, or for a bounded time",
    "memory_growth": "Memory of a long training on the CPU: numbers of rows as they come against few",
    "loader": "Loading of training samples",
    "scaling": "Training step on one process and two, the global batch being the same (processes x threads)",
    "kill_resume": "Training that is killed over and over and resumed",
    "shards": "Loading from shards against the packed file, and their parser against tarfile",
    "shard_sampler": "Order of reading shards, computed for all processes of an epoch",
}
_GROWS_WITH = {"N": "points of a cloud", "k": "neighbours", "B": "clouds"}
_DRAWN = ("training step", "training memory")
_STEP = "B=16 N=1024 k=15 clouds=augmented"
# Lines of the README: what was measured, then benchmark, setting and figure, and the two sides to compare.
FRONT_PAGE = (
    ("training step of DGCNN", "step", _STEP, "training step", "published", "ours"),
    ("peak memory of that step", "step", _STEP, "training memory", "published", "ours"),
    ("inference", "step", _STEP, "inference", "published", "ours"),
    ("loading a pair", "loader", "data=shapes views=224 batch=20", "load an item", "published", "packed"),
    ("exact neighbour search", "knn", "B=8 N=1024 C=64 k=20", "search", "matmul", "ours"),
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=RESULTS, help="recorded measurements")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="file of the five lines")
    parser.add_argument(
        "--page", type=Path, default=Path("docs/speed.md"), help="file of all tables, the plot goes beside it"
    )
    return parser.parse_args(argv)


def readme_section(rows: Sequence[Row]) -> str:
    """Return what stands between the markers of the README: of each FRONT_PAGE entry what was recorded last."""
    lines = []
    rows = [row for row in rows if row["value"] != OUT_OF_MEMORY]
    for name, *key, before, after in FRONT_PAGE:
        by_side = {row["side"]: row for row in rows if [row["benchmark"], row["setting"], row["figure"]] == key}
        if before in by_side and after in by_side:
            values = [float(by_side[side]["value"]) for side in (before, after)]
            unit, machine = by_side[after]["unit"], by_side[after]["machine"]
            cells = [f"{side}: {_number(value)} {unit}" for side, value in zip((before, after), values)]
            lines.append([name, key[1].replace("=", " "), *cells, f"{values[0] / values[1]:.2f}x", machine])
    header = ["measured", "at", "before", "here", "ratio", "machine"]
    return markdown.table(header, lines) if lines else NOTHING_YET


def page_section(rows: Sequence[Row]) -> str:
    """Return what stands between the markers of docs/speed.md: a table for each benchmark and machine."""
    if not rows:
        return NOTHING_YET
    parts = []
    for (benchmark, *_), group in _grouped(rows, "benchmark", "machine", "threads").items():
        parts += [f"**{_TITLES.get(benchmark, benchmark)}.** {_origin(group)}", figures_table(group)]
        growth = all_growth(group)
        if growth:
            parts.append(_growth_table(growth))
    machine, growth = last_growth(rows)
    if growth:
        parts.append(f"![Time and memory against N, k and B, {machine}]({PLOT})")
    return "\n\n".join(parts)


def _grouped(rows: Sequence[Row], *names: str) -> dict[tuple[str, ...], list[Row]]:
    """Group rows by their values in some columns, in order of appearance."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def _origin(rows: Sequence[Row]) -> str:
    """Say where and by what these figures were measured, in one sentence."""
    seen = {name: ", ".join(dict.fromkeys(row[name] for row in rows)) for name in rows[0]}
    threads = f"{seen['threads']} thread{'s' if seen['threads'] != '1' else ''}"
    return f"{seen['machine']}, {threads}, torch {seen['torch']}, commit {seen['commit']}, {seen['date']}."


def figures_table(rows: Sequence[Row]) -> str:
    """Return Markdown: a line for each setting, a column for each figure, whose cells hold the sides in its header.

    Two sides are followed by their ratio; of more the best is bold: the smallest, or of rates the largest.
    """
    keys = list(dict.fromkeys(key for row in rows for key in parse_setting(row["setting"])))
    sides = list(dict.fromkeys(row["side"] for row in rows))
    figures = _grouped(rows, "figure", "unit")
    names = f", {' / '.join(sides)}" if len(sides) > 1 else ""
    lines = []
    for (setting,), group in _grouped(rows, "setting").items():
        pairs = parse_setting(setting)
        value = {(row["figure"], row["side"]): row["value"] for row in group}
        cells = [_cell([value.get((name, side), "-") for side in sides], unit) for name, unit in figures]
        lines.append([*(pairs.get(key, "") for key in keys), *cells])
    return markdown.table([*keys, *(f"{name} ({unit}){names}" for name, unit in figures)], lines)


def _cell(values: Sequence[str], unit: str) -> str:
    numbers = [float(value) for value in values if value not in ("-", OUT_OF_MEMORY)]
    shown = [value if value in ("-", OUT_OF_MEMORY) else _number(float(value)) for value in values]
    if len(values) > 2 and len(numbers) > 1:
        best = _number((max if unit.endswith("/s") else min)(numbers))
        shown = [f"**{text}**" if text == best else text for text in shown]
    ratio = f" = {numbers[0] / numbers[1]:.2f}x" if len(values) == len(numbers) == 2 and numbers[1] else ""
    return " / ".join(shown) + ratio


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def all_growth(rows: Sequence[Row]) -> list[Growth]:
    """Find how time and memory of the step benchmark grow with N, k and B on one machine."""
    drawn = [row for row in rows if row["benchmark"] == "step" and row["figure"] in _DRAWN]
    return [growth for key in _GROWS_WITH for growth in find_growth(drawn, key)]


def _growth_table(found: Sequence[Growth]) -> str:
    """Markdown with the exponents of both sides."""
    sides = list(dict.fromkeys(growth.side for growth in found))
    groups: dict[tuple[str, ...], dict[str, Growth]] = {}
    for growth in found:
        sizes = " ".join(map(str, growth.sizes))
        groups.setdefault((growth.figure, growth.key, sizes, growth.rest), {})[growth.side] = growth
    header = ["grows as", "with", "measured at", "else", *(f"{side}: exponent" for side in sides)]
    lines = [
        [figure, f"{key}, {_GROWS_WITH[key]}", sizes, rest]
        + [f"{by_side[side].exponent:.2f}" if side in by_side else "-" for side in sides]
        for (figure, key, sizes, rest), by_side in groups.items()
    ]
    return markdown.table(header, lines)


def last_growth(rows: Sequence[Row]) -> tuple[str, list[Growth]]:
    """Return the machine whose growth was recorded last, and that growth; "" and [] if there is none."""
    groups = _grouped(rows, "machine", "threads")
    found = [(machine, all_growth(group)) for (machine, _), group in groups.items()]
    return next(((machine, growth) for machine, growth in reversed(found) if growth), ("", []))


def draw(found: Sequence[Growth], path: Path) -> None:
    """Write the scaling plot, a panel for each figure and key."""
    panels: dict[tuple[str, str], dict] = {}
    for growth in found:
        label = f"{growth.side}: {growth.key}^{growth.exponent:.2f}"
        place = f"{growth.figure} ({growth.unit})", f"{growth.key}, {_GROWS_WITH[growth.key]}"
        panels.setdefault(place, {})[label] = (growth.sizes, growth.values)
    save_png(growth_panels(panels), path)


def main(args: argparse.Namespace) -> None:
    rows = read_csv(args.csv)
    markdown.update_section(args.readme, SECTION, readme_section(rows))
    markdown.update_section(args.page, SECTION, page_section(rows))
    print(f"wrote the tables of {args.csv} into {args.readme} and {args.page}")
    _, growth = last_growth(rows)
    if growth:
        draw(growth, args.page.parent / PLOT)
        print(f"wrote {args.page.parent / PLOT}")


if __name__ == "__main__":
    run_main(main, parse_args())
