"""Table of results, random against pre-trained encoder, from the JSON files that the evaluation programs write.

    python -m scripts.make_results_table random.json pretrained.json
    python -m scripts.make_results_table random.json pretrained.json --csv benchmarks/accuracies.csv --append \
        --run quickstart --data built-in
    python -m scripts.make_results_table --csv benchmarks/accuracies.csv

The first prints a Markdown table. The second keeps the files' results in the CSV, and then, like the third, writes
the tables of all results in the CSV into README.md, between its two markers, and below them those of the published
figures (benchmarks/published.csv). Results on the published archives are recorded with --data published.
"""

import argparse
from pathlib import Path

from utils.cli import run_main
from utils.csv_rows import write_rows
from utils.markdown import update_section
from utils.results.published_table import published_table, read_published
from utils.results.tables import COLUMNS, merge, read_csv, read_report, results_table, runs_table

SECTION = "results"
PUBLISHED = Path(__file__).resolve().parent.parent / "benchmarks" / "published.csv"
TO_COME = "Published figures of these encoders, where we could read them in a source, and what makes ours:"
NOTHING_YET = "No run is recorded yet. The quickstart prints the table of your own machine."


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="*", metavar="FILE.json", help="written by an evaluation program")
    parser.add_argument("--csv", type=Path, help="recorded results: write their tables into the README")
    parser.add_argument("--append", action="store_true", help="record the results of the JSON files in the CSV first")
    parser.add_argument("--run", default="", help="with --append: name of the pre-training, the same for all its seeds")
    parser.add_argument("--data", default="", help="with --append: name of the data, such as built-in")
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    args = parser.parse_args(argv)
    if args.append and not (args.csv and args.reports and args.run and args.data):
        parser.error("--append needs FILE.json ..., --csv, --run and --data")
    if not args.append and bool(args.csv) == bool(args.reports):
        parser.error("give FILE.json ... to print a table, --csv to write the README, or both with --append")
    return args


def readme_section(rows: list[dict]) -> str:
    """What stands between the markers."""
    note = (
        "In percent; mean ± sample standard deviation over seeds, gain ± its standard error, of pairs where both sides "
        "were evaluated with the same seeds: the same episodes or labels. Seeds are those of "
        "pre-training and of evaluation together: where one checkpoint is evaluated several times, the spread is that "
        "of the evaluation alone."
    )
    measured = [note, results_table(rows), runs_table(rows)] if rows else [NOTHING_YET]
    return "\n\n".join([*measured, TO_COME, published_table(read_published(PUBLISHED), rows)])


def record(args: argparse.Namespace) -> None:
    """Add the reports' results to the CSV."""
    old = read_csv(args.csv) if args.csv.exists() else []
    new = [row for path in args.reports for row in read_report(path, run=args.run, data=args.data)]
    unknown = {row["checkpoint"] for row in new if row["encoder"] == "pretrained" and not row["train_command"]}
    if unknown:
        raise ValueError(
            f"no config.json of the training beside {', '.join(sorted(unknown))}, which says its seed and command; "
            "record the result where the checkpoint was trained"
        )
    rows = merge(old, new)
    write_rows(args.csv, COLUMNS, rows)
    print(f"{args.csv}: {len(new)} results added, {len(old) + len(new) - len(rows)} older ones replaced")


def main(args: argparse.Namespace) -> None:
    if args.csv is None:
        print(results_table(merge([], [row for path in args.reports for row in read_report(path)])))
        return
    if args.append:
        record(args)
    update_section(args.readme, SECTION, readme_section(read_csv(args.csv)))
    print(f"wrote the tables of {args.csv} into {args.readme}")


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
