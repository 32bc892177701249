"""CSV files with fixed columns, read strictly and written atomically."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from utils.files import write_text

Row = dict[str, Any]


def read_rows(path: Path, columns: Sequence[str], *, allows_others: bool = False) -> list[Row]:
    """Read the rows of the file, all values as text.

    Args:
        allows_others: take columns in any order, and others beside them.
    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the columns differ, or a row has more or fewer values than columns.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            found = tuple(reader.fieldnames or ())
            if not (set(columns) <= set(found) if allows_others else tuple(columns) == found):
                raise ValueError(f"has the columns {reader.fieldnames}, expected {', '.join(columns)}")
            rows = list(reader)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} {error}") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{path} record {number}: expected {len(found)} values")
    return rows


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write header and rows atomically."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())
