"""Decoding of text files of other programs, and of the numbers in them."""

import codecs
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def decode_text(data: bytes, path: Path) -> str:
    """Decode a text file: UTF-16 or UTF-8 by its byte order mark, else UTF-8, else single bytes as Latin-1.

    All its lines then end in \\n. Split it there: `splitlines` also splits at characters that other encodings use.

    Raises:
        ValueError: it begins with the mark of UTF-16 and is none.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return _one_line_end(data.decode("utf-16"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: begins as text in UTF-16 and is none ({error}): save it as UTF-8") from error
    try:
        return _one_line_end(data.decode("utf-8-sig"))
    except UnicodeDecodeError:  # numbers and keywords are ASCII; only names and comments can differ
        return _one_line_end(data.decode("latin-1"))


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_triples(rows: Sequence[Sequence[str]], path: Path, what: str) -> np.ndarray:
    """Convert rows of words to float64 (N, 3); a ValueError names the first that is not 3 numbers."""
    try:
        return np.array(rows, dtype=np.float64).reshape(len(rows), 3)
    except ValueError:
        for number, row in enumerate(rows, start=1):
            try:
                np.array(row, dtype=np.float64).reshape(3)
            except ValueError as error:
                raise ValueError(f"{path}: {what} {number} is {' '.join(row)!r}, expected 3 numbers") from error
        raise


def read_point_rows(path: Path) -> np.ndarray:
    """Read the points of a text file with x y z first in each line, separated by blanks or commas.

    Comments after # or //, a line with the number of points and one of column names may precede them; columns named x,
    y and z are taken wherever they are.

    Returns:
        (N, 3) float64, N may be 0.
    Raises:
        ValueError: a line does not begin with three numbers, or the number of points is not the one announced.
    """
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(decode_text(path.read_bytes(), path).split("\n"), start=1):
        text = line.split("#", 1)[0].split("//", 1)[0].strip()
        if text:
            rows.append(
                (number, [word.strip().strip('"') for word in (text.split(",") if "," in text else text.split())])
            )
    columns, announced = [0, 1, 2], None
    for _ in range(2):  # names and number in either order
        if rows and not any(map(is_number, rows[0][1])):
            names = [word.lower() for word in rows.pop(0)[1]]
            columns = [names.index(axis) for axis in "xyz"] if {*"xyz"} <= {*names} else columns
        elif rows and len(rows[0][1]) == 1 and rows[0][1][0].isdecimal() and announced is None:
            announced = int(rows.pop(0)[1][0])
    points = []
    for number, row in rows:
        words = [row[column] if column < len(row) else "" for column in columns]
        if not all(map(is_number, words)):
            raise ValueError(f"{path}: line {number}: expected x y z, found {' '.join(row)[:60]!r}")
        points.append(words)
    if announced not in (None, len(points)):
        cut = ": cut short, make it again" if announced > len(points) else ""
        raise ValueError(f"{path}: announces {announced} points and holds {len(points)}{cut}")
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def is_number(word: str) -> bool:
    """Return whether a word is a number in Python's notation."""
    try:
        float(word)
    except ValueError:
        return False
    return True
