"""Arrays for the page: read strictly from .npz files, encoded as base64."""

import base64
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from utils import files

# Length of each axis by letter, the same letter the same length in all arrays of a file; "x2" is exactly 2.
Layout = Mapping[str, tuple[str, str]]


def read_npz(path: Path, layout: Layout, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of `layout` from a file; others in it are ignored.

    Args:
        layout: name -> kinds of dtype, such as "iu" for whole numbers, and axes, such as "M x2" for (M, 2).
        optional: names that may be absent.
    Raises:
        ValueError: the file is damaged or pickled, or an array is missing or has another dtype or shape; names both.
    """
    try:
        arrays = files.read_npz(path, layout)
    except (ValueError, OSError) as error:
        raise ValueError(f"{error}; make it again") from error
    lengths: dict[str, int] = {}
    for name, (kinds, axes) in layout.items():
        if name not in arrays:
            if name in optional:
                continue
            raise ValueError(f"{path} has no array {name}; expected {', '.join(layout)}")
        array = arrays[name]
        if array.dtype.kind not in kinds or not _fits(array.shape, axes.split(), lengths):
            expected = f"({axes.replace(' ', ', ').replace('x', '')}) of kind {kinds}"
            raise ValueError(
                f"{path}: {name} is {array.shape} {array.dtype}, expected {expected} {lengths or ''}".strip()
            )
    return arrays


def _fits(shape: tuple[int, ...], axes: list[str], lengths: dict[str, int]) -> bool:
    return len(shape) == len(axes) and all(
        length == (int(axis[1:]) if axis.startswith("x") else lengths.setdefault(axis, length))
        for length, axis in zip(shape, axes)
    )


def check_range(path: Path, name: str, values: np.ndarray, stop: int) -> None:
    """Refuse whole numbers outside [0, stop).

    Raises:
        ValueError: names the file, the array and the number.
    """
    wrong = values[(values < 0) | (values >= stop)]
    if wrong.size:
        raise ValueError(f"{path}: {name} holds {wrong.flat[0]}, expected numbers from 0 to {stop - 1}")


def encode(array: np.ndarray, dtype: str) -> dict[str, str]:
    """Encode as the page's script decodes it: dtype (f4, i2, u1, u2 or u4) and little-endian data in base64."""
    return {"dtype": dtype, "data": base64.b64encode(np.ascontiguousarray(array, f"<{dtype}")).decode()}


def encode_labels(array: np.ndarray) -> dict[str, str]:
    """Encode whole numbers >= 0 in the fewest bytes that hold them."""
    highest = int(array.max(initial=0))
    return encode(array, "u1" if highest < 2**8 else "u2" if highest < 2**16 else "u4")


def to_int16(points: np.ndarray) -> np.ndarray:
    """Centre, and scale the farthest point to 32767: finer than a screen shows, in half the size of float32."""
    points = points.astype(np.float64)
    centred = points - (points.min(axis=0) + points.max(axis=0)) / 2
    return np.rint(centred * (32767 / max(np.linalg.norm(centred, axis=1).max(), 1e-12)))
