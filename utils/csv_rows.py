"""CSV files with fixed columns, read strictly and written whole."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from utils.files import write_text

Row = dict[str, Any]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Rows of the file, all values as text.

    Raises:
        FileNotFoundError: no such file.
        ValueError: other columns, or a row with more or fewer values than columns.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise ValueError(f"has the columns {reader.fieldnames}, expected {', '.join(columns)}")
            rows = list(reader)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} {error}") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{path} record {number}: expected {len(columns)} values")
    return rows


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write the header and the rows, whole or not at all."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())
