"""Overlap of boxes in space, all pairs of two sets at once. Metres, z up.

Letters: M and K boxes of the two sets.
"""

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes, box_axes


def aligned_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute intersection over union of boxes whose sides are parallel to the axes.

    Shape: (M, 2, 3), (K, 2, 3), the smallest and largest coordinates, see `envelopes` -> (M, K) in [0, 1].
    """
    low = np.maximum(first[:, None, 0], second[:, 0])
    high = np.minimum(first[:, None, 1], second[:, 1])
    volumes = ((extent[:, 1] - extent[:, 0]).prod(axis=-1) for extent in (first, second))
    return _iou(np.clip(high - low, 0, None).prod(axis=-1), *volumes)


def turned_iou(first: SceneBoxes, second: SceneBoxes) -> np.ndarray:
    """Compute intersection over union of boxes that are turned about the vertical axis. Shape: -> (M, K) in [0, 1].

    Boxes with a side that is not positive overlap with none.
    """
    first, second = (SceneBoxes(*(np.asarray(part, np.float64) for part in boxes)) for boxes in (first, second))
    sides = [np.clip(boxes.size, 0, None) for boxes in (first, second)]
    middles = [boxes.centre[:, 2] for boxes in (first, second)]
    halves = [side[:, 2] / 2 for side in sides]
    high = np.minimum((middles[0] + halves[0])[:, None], middles[1] + halves[1])
    low = np.maximum((middles[0] - halves[0])[:, None], middles[1] - halves[1])
    shared = _shared_area(first, second, sides) * np.clip(high - low, 0, None)
    return _iou(shared, *(side.prod(axis=1) for side in sides))


def _shared_area(first: SceneBoxes, second: SceneBoxes, sides: list[np.ndarray]) -> np.ndarray:
    """Compute the area that the ground plans of boxes share. Shape: -> (M, K).

    In the frame of the second box, its four sides cut the rectangle of the first.
    """
    own, other = box_axes(first.heading), box_axes(second.heading)
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) / 2
    corners = (signs * sides[0][:, None, :2]) @ own + first.centre[:, None, :2]  # (M, 4, 2)
    offset = corners[:, None] - second.centre[None, :, None, :2]  # (M, K, 4, 2)
    polygon = offset @ other.swapaxes(-1, -2)
    for axis in range(2):
        polygon = _cut(polygon, sides[1][None, :, None, axis] / 2, axis)
    x, y = polygon[..., 0], polygon[..., 1]
    return np.abs((x * np.roll(y, -1, axis=-1) - np.roll(x, -1, axis=-1) * y).sum(axis=-1)) / 2


def _cut(polygon: np.ndarray, bound: np.ndarray, axis: int) -> np.ndarray:
    """Cut polygons to |coordinate| <= bound along an axis. Shape: (..., V, 2), (..., 1) -> (..., 3V, 2).

    Each edge gets a corner where it crosses either bound; then what lies outside is pushed onto the bound, where it
    encloses no area. So the number of corners is the same for all, and no case is special.
    """
    step = np.roll(polygon, -1, axis=-2) - polygon
    start, change = polygon[..., axis], step[..., axis]
    is_level = change == 0
    slope = np.where(is_level, 1, change)
    crossings = [np.where(is_level, 0, np.clip((sign * bound - start) / slope, 0, 1)) for sign in (-1, 1)]
    ordered = [np.zeros_like(start), np.minimum(*crossings), np.maximum(*crossings)]
    corners = np.stack([polygon + share[..., None] * step for share in ordered], axis=-2)  # (..., V, 3, 2)
    corners = corners.reshape(*polygon.shape[:-2], 3 * polygon.shape[-2], 2)
    corners[..., axis] = np.clip(corners[..., axis], -bound, bound)
    return corners


def _iou(shared: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Divide shared volumes (M, K) by those of the unions, of volumes (M,) and (K,)."""
    union = first[:, None] + second - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
