"""Recorded measurements: benchmarks/results.csv holds one figure per row; benchmarks.report makes tables of them."""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch

from utils.csv_rows import Row, read_rows, write_rows
from utils.files import locked, write_text
from utils.output_files import check_report_path
from utils.run.provenance import REPO, processor_name, provenance

RESULTS = REPO / "benchmarks" / "results.csv"
OUT_OF_MEMORY = "out of memory"  # value of a figure whose side did not fit
# date: UTC day. setting: what was measured, as key=value words. side: which of the compared ways.
# rounds: number of timed runs, of which value is the median. threads: torch's.
COLUMNS = (
    *("date", "benchmark", "setting", "side", "figure", "value", "unit", "rounds"),
    *("machine", "threads", "python", "torch", "commit", "command"),
)
_KEY = ("benchmark", "setting", "side", "machine", "threads")


class Figure(NamedTuple):
    """One measured number; `value` is None when the side ran out of memory."""

    setting: str
    side: str
    name: str
    value: float | None
    unit: str
    rounds: int = 1


def setting_text(**pairs: object) -> str:
    """Format the setting column: key=value words in the order given; blanks in a value become "_"."""
    return " ".join(f"{key}={'_'.join(str(value).split())}" for key, value in pairs.items())


def figures_of(setting: str, name: str, unit: str, values: Mapping[str, float | None], rounds: int = 1) -> list[Figure]:
    """Make one figure per side from the sides' values."""
    return [Figure(setting, side, name, value, unit, rounds) for side, value in values.items()]


def parse_setting(text: str) -> dict[str, str]:
    """Parse what `setting_text` wrote.

    Raises:
        ValueError: a word is not key=value.
    """
    return dict(word.split("=", 1) for word in text.split())


def add_output_args(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that say where a benchmark keeps its figures."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", type=Path, help="write the figures here")
    group.add_argument(
        "--record",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="FILE.csv",
        help="keep the figures in benchmarks/results.csv, or in this file, in place of earlier ones of the same "
        "benchmark, setting, side and machine",
    )


class Recorder:
    """Prints the figures of one benchmark run and keeps them in the files of `add_output_args`.

    Files are written after each setting, so that an interrupted benchmark keeps what it has measured.

    Args:
        args: flags of `add_output_args`.
        benchmark: name of the benchmark.
        device: device it runs on.
    Raises:
        ValueError: the CSV file is damaged, or --json cannot be written there.
    """

    def __init__(self, args: argparse.Namespace, benchmark: str, device: torch.device):
        self.json, self.csv = args.json, args.record
        if self.json:
            check_report_path(self.json)
        if self.csv and self.csv.exists():
            read_csv(self.csv)
        origin = provenance()
        origin["machine"] = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
        day = datetime.now(UTC).date().isoformat()
        self._origin = {"date": day, "benchmark": benchmark, **origin, "threads": str(torch.get_num_threads())}
        self._origin["command"] = shlex.join(["python", *sys.orig_argv[1:]])
        self._figures: list[Figure] = []

    @property
    def rows(self) -> list[Row]:
        """Return all figures so far as rows of the CSV file."""
        return [self._row(figure) for figure in self._figures]

    def add(self, figures: Iterable[Figure]) -> None:
        """Print and keep the figures of another setting."""
        figures = list(figures)
        self._figures += figures
        print("\n".join(describe(figures)), flush=True)
        if self.json:
            report = {**self._origin, "figures": [figure._asdict() for figure in self._figures]}
            write_text(self.json, json.dumps(report, indent=2, allow_nan=False) + "\n")
        if self.csv:
            with locked(self.csv):  # benchmarks that run at once must not lose one another's rows
                old = read_csv(self.csv) if self.csv.exists() else []
                write_rows(self.csv, COLUMNS, merge(old, [self._row(figure) for figure in figures]))

    def _row(self, figure: Figure) -> Row:
        value = OUT_OF_MEMORY if figure.value is None else f"{figure.value:.6g}"
        measured = {"setting": figure.setting, "side": figure.side, "figure": figure.name, "value": value}
        return {**self._origin, **measured, "unit": figure.unit, "rounds": str(figure.rounds)}


def merge(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Append `new` to `old` and drop the old rows that were measured again."""
    again = {_key(row) for row in new}
    return [row for row in old if _key(row) not in again] + list(new)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in _KEY)


def read_csv(path: Path) -> list[Row]:
    """Read recorded figures; all values stay text.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the columns are not COLUMNS, or a row, which is named, is no measurement.
    """
    rows = read_rows(path, COLUMNS)
    for number, row in enumerate(rows, start=2):
        try:
            _check(row)
        except ValueError as error:
            raise ValueError(f"{path} record {number}: {error}; measure it again with --record") from error
    return rows


def _check(row: Row) -> None:
    empty = [name for name in COLUMNS if not row[name]]
    if empty:
        raise ValueError(f"no {empty[0]}")
    parse_setting(row["setting"])
    if row["value"] != OUT_OF_MEMORY and not 0 <= float(row["value"]) < math.inf:
        raise ValueError(f"value {row['value']} is no number from 0")
    for name in ("rounds", "threads"):
        if int(row[name]) < 1:
            raise ValueError(f"{name} {row[name]} is below 1")


def describe(figures: Iterable[Figure]) -> list[str]:
    """Format one line per setting and name: the value of each side and, of two sides, the first over the second."""
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.setting, figure.name), []).append(figure)
    lines = []
    for (setting, name), group in groups.items():
        sides = [f"{f.side} {OUT_OF_MEMORY if f.value is None else f'{f.value:.4g} {f.unit}'}" for f in group]
        values = [figure.value for figure in group]
        ratio = [f"{values[0] / values[1]:.2f}x"] if len(values) == 2 and all(values) else []
        lines.append("  ".join([setting, f"{name}:", *sides, *ratio]))
    return lines
