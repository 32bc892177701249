"""Conversion of coordinates to float32 where the place of a cloud would cost its detail."""

import numpy as np

FAR = 16.0  # times a cloud's size; float32 then keeps its detail to about a millionth of that size
_MOST_COLUMNS = 9  # coordinates, normal and colour
_STEP = float(np.finfo(np.float32).eps)


def is_points_last(shape: tuple[int, ...]) -> bool:
    """Whether an array is (3, N) or (M, 3, N), points last: 3 rows of more columns than a point has attributes."""
    return len(shape) >= 2 and shape[-2] == 3 and shape[-1] > _MOST_COLUMNS


def to_float32(points: np.ndarray) -> np.ndarray:
    """Convert a cloud to float32; one stored in float64 far from the origin is centred first.

    Whatever reads it must not depend on where the cloud lies: features of normalised clouds and augmentation do not.

    Shape: (N, 3) or (M, N, 3), N >= 1, to the same. The bounding box of a far cloud is then centred at the origin.
    """
    points = widened(points)
    if points.dtype == np.float64:
        clouds = points[None] if points.ndim == 2 else points
        is_far = distance_in_sizes(clouds) > FAR
        middle = (clouds.min(axis=1) + clouds.max(axis=1)) / 2  # (M, 3)
        points = (clouds - np.where(is_far[:, None], middle, 0)[:, None]).reshape(points.shape)
    return points.astype(np.float32)


def widened(points: np.ndarray) -> np.ndarray:
    """Convert numbers to float32, or to float64 where float32 does not hold all numbers of their type."""
    is_finer = points.dtype.itemsize > 4 or (points.dtype.kind in "iu" and points.dtype.itemsize > 2)
    return points.astype(np.float64 if is_finer else np.float32)


def distance_in_sizes(clouds: np.ndarray) -> np.ndarray:
    """Compute how far clouds reach from the origin, in units of their largest side. Shape: (M, N, 3) -> (M,) float64.

    It is 0 for a cloud without extent, and NaN for one that is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        side = np.ptp(clouds, axis=1).max(axis=-1).astype(np.float64)
        reach = np.abs(clouds).max(axis=(1, 2)).astype(np.float64)
        return np.divide(reach, side, out=np.zeros_like(side), where=side != 0)


def float32_step(points: np.ndarray) -> tuple[float, float]:
    """Return how far apart numbers of float32 lie where half of a cloud is or is farther out, and that coordinate.

    Of the three axes the coarsest counts. A few stray points far away change nothing.

    Shape: (N, 3) -> two floats.
    """
    place = np.median(np.abs(points), axis=0).max()
    return float(np.spacing(np.float32(place))), float(place)


def far_warning(clouds: np.ndarray, remedy: str) -> str | None:
    """Warn of clouds that lie so far from the origin that float32 loses their detail; return None where none does.

    Args:
        clouds: (M, N, 3).
        remedy: the end of the sentence, what to do.
    """
    distance = distance_in_sizes(clouds)
    is_far = distance > FAR
    if not is_far.any():
        return None
    farthest = float(np.nanmax(distance))
    return (
        f"{is_far.sum()} of {len(clouds)} clouds lie more than {FAR:.0f} times their size from the origin, the "
        f"farthest {farthest:.3g} times: float32 keeps their coordinates to {100 * _STEP * farthest:.2g} % of their "
        f"size; {remedy}"
    )
