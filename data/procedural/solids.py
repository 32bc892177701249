"""Closed triangle solids from which the built-in shapes are assembled; y is up, units are free.

Almost every solid is a `loft`: a stack of rings of equal length, connected by triangles and closed at both ends.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_AXES = {"x": 0, "y": 1, "z": 2}


class Solid(NamedTuple):
    """A triangle mesh. vertices (V, 3) float64, faces (F, 3) int64, counter-clockwise seen from outside."""

    vertices: np.ndarray
    faces: np.ndarray

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Solid":
        return Solid(self.vertices + (x, y, z), self.faces)

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> "Solid":
        """Stretch along the axes; a negative product of factors mirrors and keeps faces outward."""
        faces = self.faces if x * y * z > 0 else self.faces[:, ::-1]
        return Solid(self.vertices * (x, y, z), faces)

    def turned(self, axis: str, angle_deg: float) -> "Solid":
        """Rotate about a coordinate axis through the origin, right-handed."""
        return Solid(self.vertices @ rotation(axis, angle_deg).T, self.faces)

    def mirrored(self) -> "Solid":
        """Mirror across x = 0, for the other half of a left-right pair."""
        return self.scaled(x=-1.0)


def rotation(axis: str, angle_deg: float) -> np.ndarray:
    """Return the right-handed rotation matrix (3, 3) about "x", "y" or "z"."""
    i = _AXES[axis]
    j, k = (i + 1) % 3, (i + 2) % 3
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    matrix = np.eye(3)
    matrix[j, j], matrix[j, k], matrix[k, j], matrix[k, k] = cos, -sin, sin, cos
    return matrix


def concatenate(solids: Sequence[Solid]) -> Solid:
    """Concatenate solids, which may overlap, to one mesh."""
    starts = np.cumsum([0] + [len(solid.vertices) for solid in solids[:-1]])
    vertices = np.concatenate([solid.vertices for solid in solids])
    faces = np.concatenate([solid.faces + start for solid, start in zip(solids, starts)])
    return Solid(vertices, faces)


def loft(rings: np.ndarray, *, capped: bool = True) -> Solid:
    """Connect consecutive rings of points by triangles, and close the ends by fans about their centres.

    If the ends are closed, the sign of the volume orients all faces outward.

    Args:
        rings: (S, K, 3), S >= 2 rings of K >= 3 points, all in the same direction of rotation.
        capped: close the first and the last ring; each must be star-shaped about its mean.
    """
    rings = np.asarray(rings, dtype=np.float64)
    num_rings, num_points = rings.shape[:2]
    index = np.arange(num_rings * num_points).reshape(num_rings, num_points)
    a, b = index[:-1], index[1:]
    a_next, b_next = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
    faces = [np.stack([a, b, b_next], axis=-1), np.stack([a, b_next, a_next], axis=-1)]
    faces = [quads.reshape(-1, 3) for quads in faces]
    vertices = rings.reshape(-1, 3)
    if capped:
        first, last = len(vertices), len(vertices) + 1
        vertices = np.concatenate([vertices, rings[:1].mean(axis=1), rings[-1:].mean(axis=1)])
        start, end = index[0], index[-1]
        faces.append(np.stack([np.full_like(start, first), start, np.roll(start, -1)], axis=-1))
        faces.append(np.stack([np.full_like(end, last), np.roll(end, -1), end], axis=-1))
    return cleaned(vertices, np.concatenate(faces), outward=capped)


def cleaned(vertices: np.ndarray, faces: np.ndarray, *, outward: bool) -> Solid:
    """Drop triangles without area (rings that shrink to a point) and orient the rest outward."""
    corner = vertices[faces]  # (F, 3, 3)
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    extent = np.ptp(vertices, axis=0).max()
    faces = faces[np.linalg.norm(normal, axis=1) > 1e-12 * extent**2]
    if outward:
        corner = vertices[faces] - vertices.mean(axis=0)
        volume = np.einsum("fi,fi->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2]))
        faces = faces if volume >= 0 else faces[:, ::-1]
    return Solid(vertices, faces)


def box(x: float, y: float, z: float) -> Solid:
    """Box of the given edge lengths, centred at the origin."""
    return tapered_box((x, z), (x, z), y).moved(y=-y / 2)


def tapered_box(
    bottom: tuple[float, float],
    top: tuple[float, float],
    height: float,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Solid:
    """Frustum of a box standing on y = 0.

    Args:
        bottom, top: extents along (x, z) of the two ends.
        height: along y.
        shift: how far the top's centre lies from the bottom's along (x, z).
    """
    unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    low, high = unit * bottom, unit * top + shift
    return loft([_lift(low, 0.0), _lift(high, height)])


def slab(outline: np.ndarray, thickness: float, *, bevel: float = 0.0) -> Solid:
    """Horizontal plate standing on y = 0, star-shaped outline (K, 2) along (x, z).

    Args:
        bevel: fraction by which top and bottom faces shrink, for rounded-looking edges.
    """
    outline = np.asarray(outline, dtype=np.float64)
    centre = outline.mean(axis=0)
    inner = centre + (outline - centre) * (1 - bevel)
    if bevel == 0:
        return loft([_lift(outline, 0.0), _lift(outline, thickness)])
    heights = (0.0, 0.3 * thickness, 0.7 * thickness, thickness)
    return loft([_lift(ring, y) for ring, y in zip((inner, outline, outline, inner), heights)])


def lathe(profile: Sequence[tuple[float, float]], *, segments: int = 24) -> Solid:
    """Revolve a profile of (radius, y) points about the y axis; an end of positive radius gets a flat cap."""
    profile = np.asarray(profile, dtype=np.float64)
    angle = np.linspace(0.0, 2 * np.pi, segments, endpoint=False)
    circle = np.stack([np.cos(angle), np.zeros(segments), np.sin(angle)], axis=-1)
    rings = circle * profile[:, :1, None]
    rings[..., 1] = profile[:, 1:]
    return loft(rings)


def cylinder(radius: float, height: float, *, top_radius: float | None = None, segments: int = 20):
    """Cylinder, or frustum of a cone when `top_radius` is given, standing on y = 0."""
    top = radius if top_radius is None else top_radius
    return lathe([(radius, 0.0), (top, height)], segments=segments)


def ellipsoid(x: float, y: float, z: float, *, segments: int = 18, rings: int = 9) -> Solid:
    """Ellipsoid of the given half-axes, centred at the origin."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rings)
    profile = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return lathe(profile, segments=segments).scaled(x, y, z)


def _lift(outline: np.ndarray, y: float) -> np.ndarray:
    """Place an outline (K, 2) along (x, z) at height y, (K, 3)."""
    return np.stack([outline[:, 0], np.full(len(outline), y), outline[:, 1]], axis=-1)
