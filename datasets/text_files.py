"""Decoding of text files of other programs, and of the numbers in them."""

import codecs
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def decode_text(data: bytes, path: Path) -> str:
    """Decode a text file: UTF-16 or UTF-8 by its byte order mark, else UTF-8, else single bytes as Latin-1.

    Raises:
        ValueError: it begins with the mark of UTF-16 and is none.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: begins as text in UTF-16 and is none ({error}): save it as UTF-8") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # numbers and keywords are ASCII; only names and comments can differ


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

    Comments after # or //, one line of column names and a first line with the number of points are allowed.

    Returns:
        (N, 3) float64, N may be 0.
    Raises:
        ValueError: a line does not begin with three numbers, or the number of points is not the one announced.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    for number, line in enumerate(decode_text(path.read_bytes(), path).splitlines(), start=1):
        text = line.split("#", 1)[0].split("//", 1)[0]
        if words := (text.split(",") if "," in text else text.split()):
            rows.append([word.strip() for word in words])
            lines.append(number)
    if rows and not any(map(_is_number, rows[0])):  # column names
        rows, lines = rows[1:], lines[1:]
    if rows and len(rows[0]) == 1 and rows[0][0].isdecimal():
        if int(rows[0][0]) != len(rows) - 1:
            raise ValueError(
                f"{path}: announces {rows[0][0]} points and holds {len(rows) - 1}: cut short, make it again"
            )
        rows, lines = rows[1:], lines[1:]
    short = next((place for place, row in enumerate(rows) if not all(map(_is_number, (*row, "", "", "")[:3]))), None)
    if short is not None:
        raise ValueError(f"{path}: line {lines[short]}: expected x y z, found {' '.join(rows[short])[:60]!r}")
    return np.array([row[:3] for row in rows], dtype=np.float64).reshape(-1, 3)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
