"""Coloured solids that a program's object is made of, and how lists of them are moved, fitted, repeated, hit by rays.

A part is a list of pieces in a box that stands on y = 0, centred in x and z.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from data.procedural.palette import Color
from data.procedural.solids import Solid, concatenate, rotation


class Piece(NamedTuple):
    """A solid, or an open surface, of one colour."""

    solid: Solid
    color: Color


Pieces = list[Piece]


def mapped(pieces: Iterable[Piece], matrix: np.ndarray, offset: Iterable[float] = (0, 0, 0)) -> Pieces:
    """Map every vertex v to matrix @ v + offset; faces stay outward if the matrix (3, 3) mirrors."""
    step = 1 if np.linalg.det(matrix) > 0 else -1
    return [
        Piece(Solid(solid.vertices @ matrix.T + np.asarray(offset), solid.faces[:, ::step]), color)
        for solid, color in pieces
    ]


def moved(pieces: Iterable[Piece], x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Pieces:
    return mapped(pieces, np.eye(3), (x, y, z))


def turned(pieces: Iterable[Piece], axis: str, angle_deg: float) -> Pieces:
    return mapped(pieces, rotation(axis, angle_deg))


def mirrored(pieces: Iterable[Piece]) -> Pieces:
    """Mirror across x = 0."""
    return mapped(pieces, np.diag((-1.0, 1.0, 1.0)))


def with_mirror(pieces: Pieces) -> Pieces:
    """Return pieces and their mirror images across x = 0."""
    return [*pieces, *mirrored(pieces)]


def around(pieces: Pieces, count: int, *, axis: str = "y", span_deg: float = 360.0) -> Pieces:
    """Return `count` copies turned about an axis by equal steps over `span_deg`."""
    return [piece for number in range(count) for piece in turned(pieces, axis, span_deg * number / count)]


def bounds(pieces: Iterable[Piece]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest coordinates, (3,) each."""
    vertices = np.concatenate([solid.vertices for solid, _ in pieces])
    return vertices.min(axis=0), vertices.max(axis=0)


def fitted(pieces: Pieces, size: Iterable[float]) -> Pieces:
    """Scale to fill a box of this size (3,) that stands on y = 0, centred in x and z; a flat extent stays flat."""
    low, high = bounds(pieces)
    extent = np.maximum(high - low, 1e-6 * (high - low).max())
    factor = np.asarray(size, dtype=np.float64) / extent
    foot = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    return mapped(pieces, np.diag(factor), -factor * foot)


def pointing(direction: Iterable[float], roll_deg: float = 0.0) -> np.ndarray:
    """Return a rotation (3, 3) that takes y to a direction; without roll, x stays as level as it can."""
    up = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
    guess = np.array([1.0, 0, 0]) if abs(up[0]) < 0.9 else np.array([0, 0, 1.0])
    side = guess - up * (guess @ up)
    side /= np.linalg.norm(side)
    return np.stack([side, up, np.cross(side, up)], axis=1) @ rotation("y", roll_deg)


def hit(pieces: Pieces, origin: Iterable[float], direction: Iterable[float]) -> np.ndarray | None:
    """Find the first point at which a ray meets a surface, from either side; None if it meets none.

    Source: Moeller and Trumbore 1997.
    """
    whole = concatenate([solid for solid, _ in pieces])
    first, second, third = whole.vertices[whole.faces].transpose(1, 0, 2)
    origin, direction = np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64)
    along, across = second - first, third - first
    cross = np.cross(direction, across)
    scale = (along * cross).sum(axis=1)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=np.abs(scale) > 1e-12)
    to_origin = origin - first
    u = (to_origin * cross).sum(axis=1) * inverse
    other = np.cross(to_origin, along)
    v = other @ direction * inverse
    distance = (across * other).sum(axis=1) * inverse
    is_hit = (inverse != 0) & (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
    return origin + direction * distance[is_hit].min() if is_hit.any() else None
