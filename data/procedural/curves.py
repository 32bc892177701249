"""Outlines and paths from which solids are built."""

from collections.abc import Sequence

import numpy as np


def rounded_outline(x: float, z: float, *, power: float = 4.0, num_points: int = 24) -> np.ndarray:
    """Sample a super-ellipse of full extents x, z: power 2 is an ellipse, 4 a rounded box, 8 nearly a box.

    Returns: (num_points, 2), counter-clockwise.
    """
    angle = (np.arange(num_points) + 0.5) * 2 * np.pi / num_points
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    radius = (np.abs(unit) ** power).sum(axis=1) ** (-1 / power)
    return unit * radius[:, None] * (x / 2, z / 2)


def ring_z(x: float, y: float, z: float, *, lift: float = 0.0, power: float = 2.0, num_points=20):
    """Sample a super-ellipse of extents x and y across the z axis, at z, its centre raised by `lift`.

    Returns: (num_points, 3); stack them along z and pass them to `solids.loft`.
    """
    flat = rounded_outline(x, y, power=power, num_points=num_points)
    return np.stack([flat[:, 0], flat[:, 1] + lift, np.full(num_points, z)], axis=-1)


def arc(radius: float, start_deg: float, end_deg: float, *, plane: str = "xy", num_points: int = 16) -> np.ndarray:
    """Sample an arc about the origin in a coordinate plane, angles from its first axis to its second.

    Returns: (num_points, 3).
    """
    angle = np.radians(np.linspace(start_deg, end_deg, num_points))
    path = np.zeros((num_points, 3))
    path[:, "xyz".index(plane[0])] = radius * np.cos(angle)
    path[:, "xyz".index(plane[1])] = radius * np.sin(angle)
    return path


def smooth(corners: Sequence[Sequence[float]], *, num_points: int = 20) -> np.ndarray:
    """Sample a Catmull-Rom curve through the corners, (P, D) -> (num_points, D), evenly in the corners' index."""
    corners = np.asarray(corners, dtype=np.float64)
    padded = np.concatenate([2 * corners[:1] - corners[1:2], corners, 2 * corners[-1:] - corners[-2:-1]])
    at = np.linspace(0, len(corners) - 1, num_points)
    segment = np.minimum(at.astype(int), len(corners) - 2)
    t = (at - segment)[:, None]
    before, start, end, after = (padded[segment + i] for i in range(4))
    return start + 0.5 * t * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )


def interpolate(table: Sequence[tuple[float, ...]], at: np.ndarray) -> np.ndarray:
    """Interpolate columns 1.. of a table linearly in its column 0: (R, 1 + D) -> (len(at), D)."""
    table = np.asarray(table, dtype=np.float64)
    return np.stack([np.interp(at, table[:, 0], column) for column in table[:, 1:].T], axis=-1)
