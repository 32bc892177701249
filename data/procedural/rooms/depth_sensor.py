"""What a depth sensor makes of exact depth: noise that grows with the square of the distance, and holes.

The axial noise is that measured for a Kinect: C. V. Nguyen, S. Izadi, D. Lovell, Modeling Kinect Sensor Noise for
Improved 3D Reconstruction and Tracking, 3DIMPVT 2012. Holes: surfaces seen at a grazing angle, a rim of pixels at
edges of depth, and everything out of range.
"""

import numpy as np

RANGE_M = (0.4, 6.0)
STEP_M = 0.001  # depth is stored in whole millimetres
_GRAZING_COS = (0.10, 0.30)  # all is lost below the first cosine of the angle of incidence, nothing above the second
_EDGE = 0.04  # of the depth: a larger step between neighbours is an edge
_LOST_AT_EDGES = 0.6  # share of the pixels beside an edge that are lost


def sense_depth(depth: np.ndarray, cosine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measure a depth map.

    Args:
        depth: exact depth along z in metres, inf where there is nothing, (H, W).
        cosine: of the angle between ray and surface normal, >= 0, (H, W).
    Returns:
        (H, W) uint16 millimetres, 0 for holes.
    """
    low, high = RANGE_M
    is_kept = (depth >= low) & (depth <= high)
    known = np.where(is_kept, depth, low)
    noisy = known + rng.standard_normal(depth.shape) * axial_noise(known, cosine)
    first, last = _GRAZING_COS
    is_kept &= rng.random(depth.shape) < (cosine - first) / (last - first)
    is_kept &= ~(_beside_edges(depth) & (rng.random(depth.shape) < _LOST_AT_EDGES))
    return np.where(is_kept, np.rint(noisy / STEP_M), 0).astype(np.uint16)


def axial_noise(depth: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Compute the standard deviation of depth along z in metres, at a depth in metres and an angle of incidence."""
    angle = np.arccos(np.clip(cosine, np.cos(np.radians(80)), 1))
    tilted = 0.0001 / np.sqrt(depth) * angle**2 / (np.pi / 2 - angle) ** 2
    return 0.0012 + 0.0019 * (depth - 0.4) ** 2 + tilted


def _beside_edges(depth: np.ndarray) -> np.ndarray:
    """Mark the pixels on both sides of a step of depth."""
    known = np.where(np.isfinite(depth), depth, 100.0)
    marked = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        near, far = (np.moveaxis(known, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        is_edge = np.abs(near - far) > _EDGE * np.minimum(near, far)
        along = np.moveaxis(marked, axis, 0)
        along[:-1] |= is_edge
        along[1:] |= is_edge
    return marked
