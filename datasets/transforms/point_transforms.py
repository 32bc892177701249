"""Augmentations of single point clouds as CrossPoint published them.

Each is a pure function of a (N, 3) float32 array and a generator that returns a new float32 array. Rows are points, y
is up.

Source: Afham et al. 2022, arXiv:2203.00680, and its published code for the exact parameters and their order.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

ROTATIONS = ("y", "so3", "none")
JITTER_SIGMA, JITTER_CLIP = 0.01, 0.05
T = TypeVar("T")


def unit_sphere(points: np.ndarray) -> np.ndarray:
    """Move the centroid to the origin and scale the farthest point to radius 1.

    Args:
        points: (..., N, 3), one or many clouds.
    Raises:
        ValueError: all points of a cloud coincide, or its size overflows.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        centred = points - _columns(points).mean(axis=-1)[..., None, :]
        radius = np.sqrt(np.einsum("...c,...c->...", centred, centred).max(axis=-1))[..., None, None]
    sound = (radius > 0) & (radius < np.inf)
    if not np.all(sound):
        first = np.argwhere(~sound)[0]
        reason = "all points coincide" if radius[tuple(first)] == 0 else "the coordinates are too large"
        cloud = f" in cloud {first[0]}" if len(first) > 2 else ""
        raise ValueError(f"{reason}{cloud}: it cannot be scaled to radius 1")
    return (centred / radius).astype(np.float32, copy=False)


def _columns(points: np.ndarray) -> np.ndarray:
    """Copy (..., N, 3) to contiguous (..., 3, N), in which reductions over the points are several times faster."""
    return np.ascontiguousarray(np.swapaxes(points, -1, -2))


def random_scale(points: np.ndarray, rng: np.random.Generator, low: float = 0.5, high: float = 2.0) -> np.ndarray:
    """Multiply all axes by one factor from U(low, high)."""
    return (points * rng.uniform(low, high)).astype(np.float32)


def rotate_y(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate about the y axis by an angle from U(0, 2 pi)."""
    return turn_y(points, rng.uniform(0.0, 2.0 * math.pi))


def turn_y(points: np.ndarray, angle: float) -> np.ndarray:
    """Rotate clouds (..., N, 3) about the y axis by an angle in radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]], dtype=np.float32)
    return (rotation @ points.swapaxes(-1, -2)).swapaxes(-1, -2)


def rotate_so3(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate by a rotation uniform over SO(3), drawn as a unit quaternion."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    rotation = np.array(quaternion_matrix(w, x, y, z), dtype=np.float32)
    return (rotation @ points.T).T


def quaternion_matrix(w: T, x: T, y: T, z: T) -> list[list[T]]:
    """Return the rows of a unit quaternion's rotation matrix; its parts may be numbers, arrays or tensors."""
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]


def translate(points: np.ndarray, rng: np.random.Generator, fraction: float = 0.5) -> np.ndarray:
    """Shift each axis by U(-fraction, fraction) of the extent of the bounding box along it."""
    columns = _columns(points)
    extent = columns.max(axis=1) - columns.min(axis=1)  # (3,)
    return points + (rng.uniform(-fraction, fraction, size=3) * extent).astype(np.float32)


def jitter(
    points: np.ndarray, rng: np.random.Generator, sigma: float = JITTER_SIGMA, clip: float = JITTER_CLIP
) -> np.ndarray:
    """Add N(0, sigma) noise to every coordinate, limited to [-clip, clip]."""
    noise = rng.standard_normal(points.shape, dtype=np.float32)
    noise *= np.float32(sigma)
    np.clip(noise, -clip, clip, out=noise)
    noise += points
    return noise


def input_dropout(points: np.ndarray, rng: np.random.Generator, max_ratio: float = 0.875) -> np.ndarray:
    """Overwrite a random share r ~ U(0, max_ratio) of the points with point 0; the count stays the same."""
    ratio = rng.uniform(0.0, max_ratio)
    dropped = rng.random(len(points)) <= ratio  # (N,)
    result = points.copy()
    result[np.flatnonzero(dropped)] = points[0]
    return result


def random_subset(points: np.ndarray, rng: np.random.Generator, num_points: int) -> np.ndarray:
    """Draw `num_points` different rows in random order; return the array itself if it has as many rows."""
    if num_points == len(points):
        return points
    return points[rng.choice(len(points), size=num_points, replace=False)]


def crop(points: np.ndarray, rng: np.random.Generator, least: float, most: float = 1.0) -> np.ndarray:
    """Keep a share U(least, most) of the rows, at least 2: those nearest to a random one, in their order.

    Of equally near ones the first are kept. Source: the crops of AsymDSD, arXiv:2506.21724.

    Raises:
        ValueError: all kept points coincide.
    """
    count = max(2, round(rng.uniform(least, most) * len(points)))
    centre = points[rng.integers(len(points))]
    distance = np.square(points.astype(np.float64) - centre).sum(axis=1)
    kept = points[np.sort(np.argsort(distance, kind="stable")[:count])]
    if (kept == kept[0]).all():
        raise ValueError(f"the {count} points of a crop coincide: it cannot be scaled to radius 1")
    return kept


@dataclass(frozen=True)
class PointAugment:
    """The augmentation chain of CrossPoint's pre-training, by default as published; only its first step normalises.

    `select` takes the points of a stored cloud that are augmented, a call augments them.

    Args:
        rotation: "y" about the up axis, "so3" about any axis (for shapes whose up axes differ), or "none".
        max_scale: all axes are scaled by one factor from U(1 / max_scale, max_scale), >= 1.
        translation: largest shift along each axis, as a share of the cloud's extent along it, >= 0.
        max_dropout: largest share of the points that become copies of point 0, in [0, 1).
        crop_min, crop_max: a cloud is a crop of U(crop_min, crop_max) of the stored points, see `crop`; 1 for none.
        num_points: of the cloud; None takes as many as the others of its item.
    Raises:
        ValueError: a value outside these ranges.
    """

    rotation: str = "y"
    max_scale: float = 2.0
    translation: float = 0.5
    max_dropout: float = 0.875
    crop_min: float = 1.0
    crop_max: float = 1.0
    num_points: int | None = None

    def __post_init__(self) -> None:
        if self.rotation not in ROTATIONS:
            raise ValueError(f"rotation {self.rotation!r} is none of {', '.join(ROTATIONS)}")
        if not (1 <= self.max_scale < math.inf and 0 <= self.translation < math.inf and 0 <= self.max_dropout < 1):
            raise ValueError(
                f"--max_scale {self.max_scale} must be at least 1, --translation {self.translation} at least 0, "
                f"--max_dropout {self.max_dropout} in [0, 1)"
            )
        if not 0 < self.crop_min <= self.crop_max <= 1:
            raise ValueError(f"crop_min {self.crop_min}, crop_max {self.crop_max}: expected 0 < min <= max <= 1")

    def select(self, points: np.ndarray, rng: np.random.Generator, num_points: int) -> np.ndarray:
        """Draw a random subset of a stored cloud or of a crop of it. Shape: (M, 3) -> (N, 3).

        Where a crop has fewer points than N, each is there equally often, or once more.

        Args:
            num_points: N, unless the cloud has its own; at most M.
        Raises:
            ValueError: all points of a crop coincide.
        """
        if self.crop_min < 1:
            points = crop(points, rng, self.crop_min, self.crop_max)
        elif self.num_points is None:
            return random_subset(points, rng, num_points)
        return points[np.resize(rng.permutation(len(points)), self.num_points or num_points)]

    def __call__(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment a cloud into a new array. Shape: (N, 3) -> (N, 3), float32."""
        points = unit_sphere(np.asfortranarray(points))  # contiguous columns make all following steps twice as fast
        points = random_scale(points, rng, 1 / self.max_scale, self.max_scale)
        if self.rotation != "none":
            points = rotate_y(points, rng) if self.rotation == "y" else rotate_so3(points, rng)
        points = translate(points, rng, self.translation)
        points = jitter(points, rng)
        return input_dropout(points, rng, self.max_dropout)


PUBLISHED_AUGMENT = PointAugment()


def augmented_pair(augment: PointAugment = PUBLISHED_AUGMENT) -> dict[str, PointAugment]:
    """Name CrossPoint's two clouds of a shape, both augmented alike: the `clouds` of RenderPairs and BatchAugment."""
    return {"aug_a": augment, "aug_b": augment}
