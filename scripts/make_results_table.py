"""Table of results, random against pre-trained encoder, from the JSON files that the evaluation programs write.

    python -m scripts.make_results_table random.json pretrained.json
    python -m scripts.make_results_table random.json pretrained.json --csv benchmarks/accuracies.csv --append \
        --run quickstart --data built-in
    python -m scripts.make_results_table --csv benchmarks/accuracies.csv

The first prints a Markdown table. The second keeps the files' results in the CSV and then, like the third, writes the
tables of all results in the CSV into docs/results.md, with the published figures (benchmarks/published.csv) below them,
and those of utils/results/front_page.py into README.md. Record results on the published archives with --data published.
"""

import argparse
from pathlib import Path

from utils.cli import run_main
from utils.csv_rows import write_rows
from utils.files import locked
from utils.flags import program_parser
from utils.markdown import update_section
from utils.results.front_page import FRONT_PAGE
from utils.results.published_table import published_table, read_published
from utils.results.result_records import COLUMNS, merge, read_csv, read_report
from utils.results.result_tables import results_table, runs_table, short_table
from utils.results.seed_means import MARK_NOTE, OF_EVALUATION

SECTION = "results"
PUBLISHED = Path(__file__).resolve().parent.parent / "benchmarks" / "published.csv"
TO_COME = "Published figures of these encoders, where we could read them in a source, and the command that makes ours:"
NOTHING_YET = "No run is recorded yet. The quickstart prints the table of your own machine."
NOTE = (
    "In percent: mean ± sample standard deviation over seeds of the weights (of pre-training; on the random side of "
    f"initialisation), gain ± standard error. {MARK_NOTE}. Counts that differ: random / pre-trained."
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("reports", type=Path, nargs="*", metavar="FILE.json", help="written by an evaluation program")
    parser.add_argument("--csv", type=Path, help="recorded results: write their tables into README and docs")
    parser.add_argument("--append", action="store_true", help="record the results of the JSON files in the CSV first")
    parser.add_argument("--run", default="", help="with --append: name of the pre-training, the same for all its seeds")
    parser.add_argument("--data", default="", help="with --append: name of the data, such as built-in")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="file of the short table")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"), help="file of the full tables")
    args = parser.parse_args(argv)
    if args.append and not (args.csv and args.reports and args.run and args.data):
        parser.error("--append needs FILE.json ..., --csv, --run and --data")
    if not args.append and bool(args.csv) == bool(args.reports):
        parser.error("give FILE.json ... to print a table, --csv to write the README, or both with --append")
    return args


def readme_section(rows: list[dict]) -> str:
    """Return what stands between the markers of the README."""
    return f"{NOTE}\n\n{short_table(rows, FRONT_PAGE)}" if rows else NOTHING_YET


def page_section(rows: list[dict]) -> str:
    """Return what stands between the markers of docs/results.md."""
    measured = [NOTE, results_table(rows), runs_table(rows)] if rows else [NOTHING_YET]
    return "\n\n".join([*measured, TO_COME, published_table(read_published(PUBLISHED), rows)])


def record(args: argparse.Namespace) -> None:
    """Add the results of the reports to the CSV."""
    new = [row for path in args.reports for row in read_report(path, run=args.run, data=args.data)]
    unknown = {row["checkpoint"] for row in new if row["encoder"] == "pretrained" and not row["train_command"]}
    if unknown:
        raise ValueError(
            f"no config.json of the training beside {', '.join(sorted(unknown))}, which says its seed and command; "
            "record the result where the checkpoint was trained"
        )
    with locked(args.csv):  # programs that record at once must not lose one another's rows
        old = read_csv(args.csv) if args.csv.exists() else []
        rows = merge(old, new)
        write_rows(args.csv, COLUMNS, rows)
    print(f"{args.csv}: {len(new)} results added, {len(old) + len(new) - len(rows)} older ones replaced")


def main(args: argparse.Namespace) -> None:
    if args.csv is None:
        table = results_table(merge([], [row for path in args.reports for row in read_report(path)]))
        print(table + (f"\n\n{MARK_NOTE}" if OF_EVALUATION in table else ""))
        return
    if args.append:
        record(args)
    with locked(args.page):  # the last to write the pages has read the rows of all
        rows = read_csv(args.csv)
        update_section(args.readme, SECTION, readme_section(rows))
        update_section(args.page, SECTION, page_section(rows))
    print(f"wrote the tables of {args.csv} into {args.readme} and {args.page}")


if __name__ == "__main__":
    run_main(main, parse_args())
