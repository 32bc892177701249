"""Where a frame of an RGB-D camera shows points, and which pairs of frames show the same part of a scene."""

from collections.abc import Sequence

import numpy as np

from datasets.scenes.scene import Frame
from datasets.shapes.cameras import project, unproject


def see(frame: Frame, points: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels of points, and which of the points the frame shows there.

    A point is shown where it lies in front of the camera and within the frame, and the depth measured there is its own
    to within `tolerance`: one that lies behind what was measured is occluded, one before it is not there.

    Args:
        points: (N, 3), in world coordinates.
        tolerance: in metres along z.
    Returns:
        pixels (N, 2) int64 as (row, column), 0 for points that are not shown, and which are shown (N,) bool.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # of points in the plane of the camera
        places, z = project(frame.camera, points)
    height, width = frame.depth.shape
    is_inside = (z > 0) & (places >= 0).all(axis=1) & (places < (width, height)).all(axis=1)
    pixels = np.where(is_inside[:, None], places[:, ::-1], 0).astype(np.int64)
    is_shown = is_inside & (np.abs(frame.depth[pixels[:, 0], pixels[:, 1]] - z) <= tolerance)
    return np.where(is_shown[:, None], pixels, 0), is_shown


def list_pairs(
    frames: Sequence[Frame], least: float, tolerance: float, stride: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """List the pairs of frames of which each shows a share of `least` or more of what the other has measured.

    Args:
        tolerance: see `see`.
        stride: only every so many rows and columns of a frame are looked for in the other.
    Returns:
        pairs (K, 2) int32, places in `frames`, the earlier first, and overlaps (K,) float32, the smaller of both
        shares; a frame without a measurement is in no pair.
    """
    points = [unproject(frame.camera, _thinned(frame.depth, stride)) for frame in frames]
    pairs, overlaps = [], []
    for second in range(len(frames)):
        for first in range(second):
            overlap = 1.0
            for a, b in ((first, second), (second, first)):
                if overlap >= least:  # else the other share cannot help
                    share = see(frames[b], points[a], tolerance)[1].mean() if len(points[a]) else 0.0
                    overlap = min(overlap, share)
            if overlap >= least:
                pairs.append((first, second))
                overlaps.append(overlap)
    return np.array(pairs, dtype=np.int32).reshape(-1, 2), np.array(overlaps, dtype=np.float32)


def _thinned(depth: np.ndarray, stride: int) -> np.ndarray:
    """Keep the measurements of every so many rows and columns. Shape: (H, W) -> the same."""
    kept = np.full_like(depth, np.inf)
    kept[::stride, ::stride] = depth[::stride, ::stride]
    return kept
