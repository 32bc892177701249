"""Segmented clouds as PLY files, which any viewer shows in colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.files import write_atomically

_VERTEX = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
_WORDS = {"<f4": "float", "u1": "uchar", "<i4": "int"}


def write_coloured(
    path: Path, points: np.ndarray, colours: np.ndarray, labels: np.ndarray, names: Sequence[str], what: str = "part"
) -> None:
    """Write a binary PLY cloud of x, y, z, red, green, blue and a label; comments in its header name the labels.

    Args:
        points: (N, 3).
        colours: (N, 3) uint8.
        labels: (N,) int, places in `names`.
        what: name of the property that holds the labels.
    """
    fields = [*_VERTEX, (what, "<i4")]
    rows = np.empty(len(points), fields)
    for number, (name, _) in enumerate(_VERTEX):
        rows[name] = points[:, number] if number < 3 else colours[:, number - 3]
    rows[what] = labels
    comments = [f"comment {what} {number} {name}" for number, name in enumerate(names)]
    properties = [f"property {_WORDS[kind]} {name}" for name, kind in fields]
    lines = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {len(points)}", *properties]
    header = "\n".join([*lines, "end_header", ""]).encode()
    write_atomically(path, lambda stream: stream.write(header + rows.tobytes()))
