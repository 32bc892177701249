"""Statistics of clouds for the validator: scale, centre, likely up-axis, duplicates."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from datasets.precision import FAR

AXES = "xyz"
CLEAR_MAJORITY = 0.45  # share of the votes that decides the up-axis

_CHUNK = 256  # clouds measured at once, which bounds memory


class CloudStats(NamedTuple):
    """One row per cloud.

    `centroid` (M,) distance of the mean from the origin; `radius` (M,) distance of the farthest point from the mean;
    `extent` (M, 3) of the bounding box; `up` (M,) the axis along which the cloud is least like its mirror image;
    `digest` (M,) hash of the points, equal for equal clouds.
    """

    centroid: np.ndarray
    radius: np.ndarray
    extent: np.ndarray
    up: np.ndarray
    digest: np.ndarray


def measure(points: np.ndarray) -> CloudStats:
    """Measure M >= 0 finite clouds, (M, N, 3) float32."""
    chunks = [_measure_chunk(points[i : i + _CHUNK]) for i in range(0, max(len(points), 1), _CHUNK)]
    return join(chunks)


def join(parts: Sequence[CloudStats]) -> CloudStats:
    """Concatenate the rows of one or more parts."""
    return CloudStats(*(np.concatenate(columns) for columns in zip(*parts)))


def _measure_chunk(clouds: np.ndarray) -> CloudStats:
    points = clouds.astype(np.float64)  # squares of far coordinates overflow float32
    mean = points.mean(axis=1)  # (M, 3)
    low, high = points.min(axis=1), points.max(axis=1)
    ordered = np.sort(points - (low + high)[:, None] / 2, axis=1)
    # Objects stand on a base and are left-right symmetric, so the up-axis is the one whose coordinates differ most from
    # their mirror image: the mean gap between sorted coordinates and sorted mirrored ones, relative to the extent.
    asymmetry = np.abs(ordered + ordered[:, ::-1]).mean(axis=1) / np.maximum(high - low, np.finfo(np.float64).tiny)
    return CloudStats(
        centroid=np.linalg.norm(mean, axis=1),
        radius=np.linalg.norm(points - mean[:, None], axis=2).max(axis=1),
        extent=high - low,
        up=asymmetry.argmax(axis=1),
        digest=np.array(
            [hashlib.blake2b(cloud.tobytes(), digest_size=16).hexdigest() for cloud in clouds], dtype="U32"
        ),
    )


def up_votes(stats: CloudStats) -> np.ndarray:
    """Compute the share of the clouds that vote for each axis, (3,)."""
    return np.bincount(stats.up, minlength=3) / len(stats.up)


def likely_up_axis(stats: CloudStats) -> str | None:
    """Return x, y or z if a clear majority of the clouds agrees, else None; an estimate for sets of many shapes."""
    votes = up_votes(stats)
    return AXES[votes.argmax()] if votes.max() >= CLEAR_MAJORITY else None


def count_far(stats: CloudStats) -> int:
    """Count the clouds that lie so far from the origin that float32 loses their detail."""
    distance = stats.centroid / np.maximum(stats.extent.max(axis=1), np.finfo(np.float64).tiny)
    return int((distance > FAR).sum())


def describe(stats: CloudStats, far_remedy: str = "") -> list[str]:
    """Describe scale, extent and up-axis of M >= 1 clouds, in lines; `far_remedy` follows what is said of far ones."""
    votes = ", ".join(f"{axis} {share:.0%}" for axis, share in zip(AXES, up_votes(stats)))
    upright = likely_up_axis(stats)
    extent = (stats.extent / stats.radius[:, None]).mean(axis=0)  # (3,), comparable between sets of any scale
    num_far = count_far(stats)
    far = [f"far: {num_far} clouds lie more than {FAR:.0f} times their size from the origin" + far_remedy]
    extents = ", ".join(f"{axis} {size:.3g}" for axis, size in zip(AXES, extent))
    return (far if num_far else []) + [
        f"scale: {_scale(stats)}; radius {stats.radius.min():.3g} .. {stats.radius.max():.3g} "
        f"(median {np.median(stats.radius):.3g}), centroid at most {stats.centroid.max():.3g} from the origin",
        f"mean extent in radii: {extents}",
        f"up-axis: {f'probably {upright}' if upright else 'mixed or unclear'} (asymmetry votes {votes})",
    ]


def _scale(stats: CloudStats) -> str:
    if stats.centroid.max() < 0.01 and np.abs(stats.radius - 1).max() < 0.01:
        return "unit sphere about the centroid"
    diagonal = np.linalg.norm(stats.extent, axis=1)
    if diagonal.max() < 1.001 and np.median(diagonal) > 0.95:  # samples fall short of the box of their mesh
        return "unit diagonal of the bounding box"
    return "not normalised"


def duplicates(stats: CloudStats, names: Sequence[str]) -> list[str]:
    """Return a text `a = b = ...` for each group of equal clouds, in the order of their first members."""
    groups: dict[str, list[str]] = {}
    for digest, name in zip(stats.digest.tolist(), names):
        groups.setdefault(digest, []).append(name)
    return [" = ".join(group) for group in groups.values() if len(group) > 1]
