"""Boxes of objects in a scene, and which points are in them. Metres, z up.

Letters: K boxes, N points.
"""

from typing import NamedTuple

import numpy as np


class SceneBoxes(NamedTuple):
    """Boxes with a class, turned about the vertical axis.

    centre (K, 3); size (K, 3), full lengths along the box's own axes; heading (K,), the angle of its first axis in
    radians, from +x towards -y as in VoteNet's files, 0 where boxes are aligned; label (K,) int64.
    """

    centre: np.ndarray
    size: np.ndarray
    heading: np.ndarray
    label: np.ndarray

    def take(self, rows: np.ndarray) -> "SceneBoxes":
        """Return some of the boxes, by number or by mask."""
        return SceneBoxes(*(column[rows] for column in self))


def box_axes(heading: np.ndarray) -> np.ndarray:
    """Return the directions of the two horizontal axes of boxes. Shape: (K,) -> (K, 2 axes, 2)."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


def box_corners(boxes: SceneBoxes) -> np.ndarray:
    """Return the corners of boxes: four of the lower side, in a circle, then those above them. Shape: -> (K, 8, 3)."""
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) / 2
    flat = (signs * boxes.size[:, None, :2]) @ box_axes(boxes.heading) + boxes.centre[:, None, :2]  # (K, 4, 2)
    levels = boxes.centre[:, 2:] + boxes.size[:, 2:] * np.array([-0.5, 0.5])  # (K, 2)
    height = np.repeat(levels, 4, axis=1)[..., None]
    return np.concatenate([np.concatenate([flat, flat], axis=1), height], axis=2)


def envelopes(boxes: SceneBoxes) -> np.ndarray:
    """Return the smallest and the largest coordinates of boxes. Shape: -> (K, 2, 3)."""
    corners = box_corners(boxes)
    return np.stack([corners.min(axis=1), corners.max(axis=1)], axis=1)


def points_inside(points: np.ndarray, boxes: SceneBoxes) -> np.ndarray:
    """Tell which points are in which box, its surface included. Shape: (N, 3) -> (K, N) bool."""
    inside = np.empty((len(boxes.label), len(points)), dtype=bool)
    for row, centre, size, axes in zip(inside, boxes.centre, boxes.size, box_axes(boxes.heading)):
        offset = points.astype(np.float64) - centre
        offset[:, :2] = offset[:, :2] @ axes.T
        row[:] = (np.abs(offset) <= size / 2).all(axis=1)
    return inside
