"""Triangulation of polygons, convex or not, as they stand in mesh files."""

import mapbox_earcut
import numpy as np

_FLAT = 1e-9  # relative; a fan triangle turned against its polygon by less than this counts as flat


def triangulate(corners: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split polygons into triangles, in the order of the polygons.

    A polygon that the fan around its first corner covers exactly, as it does every convex one, becomes that fan; any
    other is cut by ear clipping in its plane.

    Args:
        corners: (C, 3) float64 positions of the corners, polygon after polygon.
        counts: (P,) int, corners of each polygon; those with fewer than 3 have no triangle.
    Returns:
        triangles (T, 3) int64, rows of `corners`; polygon (T,) int64, the polygon each triangle is of.
    """
    counts = np.asarray(counts, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    triangles, owners = [np.empty((0, 3), dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for sides in np.unique(counts[counts >= 3]):
        members = np.flatnonzero(counts == sides)
        fan = np.stack([np.zeros(sides - 2, dtype=np.int64), *(np.arange(sides - 2) + i for i in (1, 2))], axis=1)
        is_fan = np.ones(len(members), dtype=bool)
        if sides > 3:
            points = corners[starts[members, None] + np.arange(sides)]  # (M, sides, 3)
            normals = _normals(points)
            is_fan = _is_covered_by_fan(points, fan, normals)
            for row in np.flatnonzero(~is_fan):
                ears = _clip_ears(points[row], normals[row])
                triangles.append(starts[members[row]] + ears)
                owners.append(np.full(len(ears), members[row]))
        fanned = members[is_fan]
        triangles.append((starts[fanned, None, None] + fan).reshape(-1, 3))
        owners.append(np.repeat(fanned, sides - 2))
    polygon = np.concatenate(owners)
    order = np.argsort(polygon, kind="stable")
    return np.concatenate(triangles)[order], polygon[order]


def _normals(points: np.ndarray) -> np.ndarray:
    """Compute Newell's normals, twice the area vectors of polygons. Shape: (M, sides, 3) -> (M, 3)."""
    around_first = points - points[:, :1]
    return np.cross(around_first, np.roll(around_first, -1, axis=1)).sum(axis=1)


def _is_covered_by_fan(points: np.ndarray, fan: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Mark the polygons (M,) of which no fan triangle is turned against the whole."""
    a, b, c = (points[:, fan[:, i]] for i in range(3))  # (M, sides - 2, 3)
    turn = np.einsum("mtc,mc->mt", np.cross(b - a, c - a), normals)
    return (turn >= -_FLAT * np.einsum("mc,mc->m", normals, normals)[:, None]).all(axis=1)


def _clip_ears(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Triangulate one polygon in the plane of its normal. Shape: (sides, 3), (3,) -> (T, 3) int64."""
    normal = normal / np.linalg.norm(normal)
    across = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    across /= np.linalg.norm(across)
    flat = (points - points[0]) @ np.stack([across, np.cross(normal, across)], axis=1)
    ears = mapbox_earcut.triangulate_float64(flat, np.array([len(flat)], dtype=np.uint32))
    ears = ears.reshape(-1, 3).astype(np.int64)
    (ax, ay), (bx, by), (cx, cy) = (flat[ears[:, i]].T for i in range(3))
    is_turned = (bx - ax) * (cy - ay) < (cx - ax) * (by - ay)  # earcut promises no winding
    ears[is_turned] = ears[is_turned, ::-1]
    return ears
