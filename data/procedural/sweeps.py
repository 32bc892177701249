"""Tubes along curves and thin curved sheets."""

import numpy as np

from data.procedural.solids import Solid, cleaned, loft


def tube(
    path: np.ndarray,
    radius: float | np.ndarray,
    *,
    segments: int = 8,
    flat: float = 1.0,
    wide: tuple[float, float, float] | None = None,
) -> Solid:
    """Sweep a round or oval section along a curve, closed at both ends.

    Args:
        path: (P, 3), P >= 2 distinct consecutive points; repeat the first at the end for a ring.
        radius: of the section, one for all path points or one for each.
        segments: number of points of the section.
        flat: thickness of the section relative to its width, < 1 for straps and bands.
        wide: direction of the section's width at the start, not along the path; arbitrary if None.
    """
    path = np.asarray(path, dtype=np.float64)
    side, up = _frames(path, wide)
    angle = np.linspace(0.0, 2 * np.pi, segments, endpoint=False)
    section = np.cos(angle)[:, None] * side[:, None] + flat * np.sin(angle)[:, None] * up[:, None]
    radius = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path))
    return loft(path[:, None] + section * radius[:, None, None])


def rod(start: tuple[float, float, float], end: tuple[float, float, float], radius, **options) -> Solid:
    """Straight tube between two points; `radius` may be a pair (at start, at end)."""
    radius = np.broadcast_to(np.asarray(radius, dtype=np.float64), 2)
    return tube(np.array([start, end]), radius, **options)


def ring(radius: float, thickness: float, *, axis: str = "x", segments: int = 24) -> Solid:
    """Torus about a coordinate axis: `radius` to the middle of a tube of radius `thickness`."""
    first, second = "xyz".replace(axis, "")
    angle = np.linspace(0.0, 2 * np.pi, segments + 1)
    path = np.zeros((segments + 1, 3))
    path[:, "xyz".index(first)] = radius * np.cos(angle)
    path[:, "xyz".index(second)] = radius * np.sin(angle)
    return tube(path, thickness, segments=8)


def sheet(grid: np.ndarray, thickness: float) -> Solid:
    """Thin curved plate: a grid of points given a thickness along its normals.

    Args:
        grid: (A, B, 3), A and B >= 2, neighbouring points distinct.
        thickness: > 0.
    """
    grid = np.asarray(grid, dtype=np.float64)
    along_a, along_b = np.gradient(grid, axis=0), np.gradient(grid, axis=1)
    normal = np.cross(along_a, along_b)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    offset = 0.5 * thickness * normal
    # every row of the grid becomes a ring: out along the upper side, back along the lower one
    rings = np.concatenate([grid + offset, (grid - offset)[:, ::-1]], axis=1)
    rows, width = rings.shape[:2]
    body = loft(rings, capped=False)
    ends = [_strip(np.arange(width)), _strip(np.arange(width) + (rows - 1) * width)[:, ::-1]]
    return cleaned(body.vertices, np.concatenate([body.faces, *ends]), outward=True)


def _strip(ring_index: np.ndarray) -> np.ndarray:
    """Triangulate the thin end between a ring's first half and its reversed second half."""
    half = len(ring_index) // 2
    upper, lower = ring_index[:half], ring_index[half:][::-1]
    first = np.stack([upper[:-1], upper[1:], lower[1:]], axis=-1)
    second = np.stack([upper[:-1], lower[1:], lower[:-1]], axis=-1)
    return np.concatenate([first, second])


def _frames(path: np.ndarray, wide: tuple | None) -> tuple[np.ndarray, np.ndarray]:
    """Compute two unit vectors across a path at each point, (P, 3) each, with as little twist as possible."""
    tangent = np.gradient(path, axis=0)
    if len(path) > 2 and np.allclose(path[0], path[-1]):
        tangent[0] = tangent[-1] = path[1] - path[-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    guess = np.eye(3)[np.abs(tangent[0]).argmin()] if wide is None else np.array(wide, dtype=np.float64)
    side = np.empty_like(path)
    for i, direction in enumerate(tangent):
        guess = guess - direction * (guess @ direction)
        guess /= np.linalg.norm(guess)
        side[i] = guess
    return side, np.cross(tangent, side)
