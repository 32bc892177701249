"""Reading of STL files, binary and text."""

import re
from pathlib import Path

import numpy as np

from datasets.meshes.surface import Part, Surface
from datasets.text_files import decode_text, parse_triples

_HEADER = 84  # bytes before the first triangle: 80 of free text, then the number of triangles
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_NAME = re.compile(r"^\s*(solid|endsolid)\b.*$", re.IGNORECASE | re.MULTILINE)
_LOOP = re.compile(r"outer\s+loop(.*?)endloop", re.IGNORECASE | re.DOTALL)


def read_stl(path: Path) -> Surface:
    """Read an STL file; bytes after the last announced triangle are ignored, as are normals and attributes.

    Raises:
        ValueError: neither binary nor text STL, cut short, or a loop of a text file has not exactly 3 vertices.
    """
    data = path.read_bytes()
    count = int.from_bytes(data[80:_HEADER], "little") if len(data) >= _HEADER else 0
    is_complete = len(data) >= _HEADER + count * _TRIANGLE.itemsize
    if count and is_complete:
        corners = np.frombuffer(data, _TRIANGLE, count, _HEADER)["corners"]
    elif b"\0" not in data.rstrip(b"\0") and re.match(rb"(\xef\xbb\xbf)?\s*solid", data, re.IGNORECASE):
        corners = _read_text(decode_text(data, path), path)
    elif len(data) < _HEADER:
        raise ValueError(f"{path}: expected text that begins with solid, or at least {_HEADER} bytes of binary STL")
    elif count:
        raise ValueError(
            f"{path}: announces {count} triangles, which need {_HEADER + count * _TRIANGLE.itemsize} bytes, and has "
            f"{len(data)}: cut short, make it again"
        )
    elif len(data) >= _HEADER + _TRIANGLE.itemsize:
        raise ValueError(
            f"{path}: announces 0 triangles, yet {len(data) - _HEADER} bytes follow: its writer was interrupted or is "
            "at fault; export it again"
        )
    else:
        corners = np.empty((0, 3, 3))
    rest = len(data) - _HEADER - count * _TRIANGLE.itemsize
    notes = [f"{rest} bytes after the last of {count} triangles: left out"] if count and rest > 1 else []
    return Surface([Part(corners.reshape(-1, 3).astype(np.float64), np.arange(3 * len(corners)).reshape(-1, 3))], notes)


def _read_text(text: str, path: Path) -> np.ndarray:
    """Read the triangles of a text file. Shape: -> (F, 3, 3)."""
    text = _NAME.sub("", text)  # a name may hold any word
    loops = [loop.split() for loop in _LOOP.findall(text)]
    for number, words in enumerate(loops):
        num_vertices = sum(word.lower() == "vertex" for word in words)
        if num_vertices != 3 or len(words) != 12 or [word.lower() for word in words[::4]] != ["vertex"] * 3:
            raise ValueError(
                f"{path}: loop {number} has {num_vertices} vertices in {len(words)} words, expected 3 times 'vertex x "
                "y z': STL holds triangles only; export it again, triangulated"
            )
    if len(re.findall(r"\bfacet\b", text, re.IGNORECASE)) > len(loops):
        raise ValueError(f"{path}: its last facet is not closed by endloop: cut short, make it again")
    rows = [words[i : i + 3] for words in loops for i in (1, 5, 9)]
    return parse_triples(rows, path, "vertex").reshape(-1, 3, 3)
