"""Text files of points with colours, a line `x y z r g b` each, as S3DIS has them.

Single bytes of S3DIS 1.2 are damaged. In the three that users have reported, a bit of value 0x20 is cleared:
`185\\x00187` for `185 187` (Area_5/hallway_6, ceiling_1.txt, line 180389), `103.0\\x100000` for `103.000000`
(Area_5/office_19, ceiling_1.txt, line 323474), `-9.1\\x160` for `-9.160` (Area_3/hallway_2, line 926335, among
neighbours at -9.160). Setting the bit again repairs them.
"""

import codecs
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

_BIT = 0x20
_REPAIRABLE = bytes(code & ~_BIT for code in b" 0123456789.")  # not "-", which became an end of line
_REPAIRED = bytes(code | _BIT for code in _REPAIRABLE)
_TO_REPAIRED = bytes.maketrans(_REPAIRABLE, _REPAIRED)


class PointRows(NamedTuple):
    """`points` (N, 3) float64; `colours` (N, 3) uint8, None where lines end after z; `notes` on repaired lines."""

    points: np.ndarray
    colours: np.ndarray | None
    notes: tuple[str, ...]


def read_coloured_points(path: Path) -> PointRows:
    """Read a file of points with or without colours.

    Lines may end in \\n, \\r\\n or \\r and be blank, UTF-8 may begin with its mark; bytes of the damage described
    above are repaired and noted.

    Raises:
        FileNotFoundError: no such file.
        ValueError: names file and line: not 6 numbers, or 3 in every line; a number that is not finite; a colour
            outside 0..255; no line at all. Or all colours are shares of 1.
    """
    raw = path.read_bytes().removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = raw.translate(_TO_REPAIRED)
    notes = () if data == raw else tuple(_describe(path, raw))
    if not data.strip():
        raise ValueError(f"{path} has no points; get it again, or remove it")
    try:
        rows = np.loadtxt(io.BytesIO(data), dtype=np.float64, comments=None, ndmin=2)
    except ValueError as error:
        raise ValueError(_first_fault(path, data) or f"{path}: {error}") from error
    is_sound = np.isfinite(rows).all(axis=1) & ((rows[:, 3:] >= 0) & (rows[:, 3:] <= 255)).all(axis=1)
    if rows.shape[1] not in (3, 6) or not is_sound.all():
        raise ValueError(_first_fault(path, data))
    if rows[:, 3:].max(initial=0) <= 1 and (rows[:, 3:] % 1 != 0).any():
        raise ValueError(f"{path}: its colours are shares from 0 to 1, expected 0 to 255; multiply them by 255")
    colours = rows[:, 3:].astype(np.uint8) if rows.shape[1] == 6 else None
    return PointRows(rows[:, :3], colours, notes)


def _describe(path: Path, raw: bytes) -> list[str]:
    """Name the lines with a damaged byte."""
    notes = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        repaired = line.translate(_TO_REPAIRED)
        if repaired != line:
            damaged, read_as = line.decode("latin-1"), repaired.decode("latin-1")
            notes.append(f"{path}: line {number} {damaged!a} read as {read_as!a}")
    return notes


def _first_fault(path: Path, data: bytes) -> str | None:
    """Describe the first line that is not as expected, given that one of them is not."""
    columns = 0
    for number, line in enumerate(data.decode("latin-1").split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        columns = columns or len(words)
        expected = f"{columns} numbers as in the first line" if columns in (3, 6) else "x y z r g b or x y z"
        found = f"{path}: line {number} is {line[:60]!a}, expected {expected}"
        remedy = "; correct the line or remove it"
        if columns not in (3, 6) or len(words) != columns:
            return found + remedy
        try:
            values = np.array(words, dtype=np.float64)
        except ValueError:
            return found + remedy
        if not np.isfinite(values).all() or (values[3:] < 0).any() or (values[3:] > 255).any():
            return f"{found}, finite and colours from 0 to 255{remedy}"
    return None
