"""Reading of point clouds from PLY files, binary or ascii."""

from pathlib import Path

import numpy as np
from plyfile import PlyData

from datasets.meshes.ply_file import element_colours, open_ply, positions
from datasets.precision import to_float32


def read_points(path: Path) -> np.ndarray:
    """Read the vertices of a PLY file, ignoring faces and all other properties.

    Returns:
        (N, 3) float32, N >= 1, all finite, in file order and in the unit of the file; double coordinates far from the
        origin are centred first, see `to_float32`.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a PLY file, truncated, without vertices, or with non-finite coordinates.
    """
    return points_of(open_ply(path), path)


def points_of(ply: PlyData, path: Path) -> np.ndarray:
    """Return the vertices of a parsed PLY file as `read_points` does, which names the errors; `path` is for these."""
    points = positions(ply, path)
    if len(points) == 0:
        raise ValueError(f"{path} is a PLY file without vertices; make it again or delete it and its renders")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{path} has {len(bad)} of {len(points)} points that are not finite (first: vertex {bad[0]}); "
            "make it again or delete it and its renders"
        )
    return to_float32(points)


def colours_of(ply: PlyData, path: Path) -> np.ndarray | None:
    """Return the colours of the vertices of a parsed PLY file, (N, 3) uint8, whatever their type; None without any.

    Raises:
        ValueError: one is not finite; `path` is for the message.
    """
    colours = element_colours(ply["vertex"])
    if colours is None:
        return None
    if not np.isfinite(colours).all():
        raise ValueError(f"{path} has colours that are not finite; expected red, green and blue: write it again")
    return np.rint(colours).astype(np.uint8)
