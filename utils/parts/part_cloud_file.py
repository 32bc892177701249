"""Segmented clouds as PLY files, which any viewer shows in colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

from utils.files import write_atomically

_VERTEX = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("part", "<i4")]
_WORDS = {"<f4": "float", "u1": "uchar", "<i4": "int"}


def write_coloured(path: Path, points: np.ndarray, colours: np.ndarray, part: np.ndarray, names: Sequence[str]) -> None:
    """Write a binary PLY cloud of x, y, z, red, green, blue and part; comments in its header name the parts.

    Args:
        points: (N, 3).
        colours: (N,) of names that matplotlib knows.
        part: (N,) int, places in `names`.
    """
    kinds, place = np.unique(colours, return_inverse=True)
    rgb = np.round(255 * np.array([to_rgb(kind) for kind in kinds])).astype(np.uint8)[place]  # (N, 3)
    rows = np.empty(len(points), _VERTEX)
    for number, (name, _) in enumerate(_VERTEX):
        rows[name] = part if name == "part" else np.concatenate([points, rgb], axis=1)[:, number]
    comments = [f"comment part {number} {name}" for number, name in enumerate(names)]
    properties = [f"property {_WORDS[kind]} {name}" for name, kind in _VERTEX]
    lines = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {len(points)}", *properties]
    header = "\n".join([*lines, "end_header", ""]).encode()
    write_atomically(path, lambda stream: stream.write(header + rows.tobytes()))
