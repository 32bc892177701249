"""Augmentations of one point cloud as CrossPoint published them.

Each is a pure function of a (N, 3) float32 array and a generator: the input is never changed, the result is
a new float32 array of the same shape, and equal generators give equal results. Rows are points, y is up.

Source: Afham et al. 2022, arXiv:2203.00680, and its published code for the exact parameters and their order.
"""

import math

import numpy as np


def unit_sphere(points: np.ndarray) -> np.ndarray:
    """Move the centroid to the origin and scale the farthest point to radius 1.

    Args:
        points: (..., N, 3), each cloud is treated on its own.
    Raises:
        ValueError: all points of a cloud coincide, so that it has no size.
    """
    centred = points - points.mean(axis=-2, keepdims=True)
    radius = np.linalg.norm(centred, axis=-1).max(axis=-1)[..., None, None]
    if not np.all(radius > 0):
        first = np.argwhere(~(radius > 0))[0][:-2].tolist()
        raise ValueError(
            f"all points coincide{f' in cloud {first[0]}' if first else ''}: it cannot be scaled to radius 1"
        )
    return (centred / radius).astype(np.float32)


def random_scale(points: np.ndarray, rng: np.random.Generator, low: float = 0.5, high: float = 2.0) -> np.ndarray:
    """Multiply by one factor from U(low, high), the same for every axis."""
    return (points * rng.uniform(low, high)).astype(np.float32)


def rotate_y(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn about the y axis by an angle from U(0, 2 pi)."""
    angle = rng.uniform(0.0, 2.0 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]], dtype=np.float32)
    return points @ rotation.T


def translate(points: np.ndarray, rng: np.random.Generator, fraction: float = 0.5) -> np.ndarray:
    """Shift each axis by U(-fraction, fraction) of the extent of the bounding box along it."""
    extent = points.max(axis=0) - points.min(axis=0)  # (3,)
    return (points + rng.uniform(-fraction, fraction, size=3) * extent).astype(np.float32)


def jitter(points: np.ndarray, rng: np.random.Generator, sigma: float = 0.01, clip: float = 0.05) -> np.ndarray:
    """Add N(0, sigma) noise to every coordinate, limited to [-clip, clip]."""
    noise = rng.standard_normal(points.shape, dtype=np.float32) * np.float32(sigma)
    return points + np.clip(noise, -clip, clip)


def input_dropout(points: np.ndarray, rng: np.random.Generator, max_ratio: float = 0.875) -> np.ndarray:
    """Overwrite a random share r ~ U(0, max_ratio) of the points with point 0; the count stays the same."""
    ratio = rng.uniform(0.0, max_ratio)
    dropped = rng.random(len(points)) <= ratio  # (N,)
    return np.where(dropped[:, None], points[0], points)


def random_subset(points: np.ndarray, rng: np.random.Generator, num_points: int) -> np.ndarray:
    """`num_points` different rows in random order; all rows as they are when the count already fits."""
    if num_points == len(points):
        return points
    return points[rng.choice(len(points), size=num_points, replace=False)]


def published_point_augment(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The chain of CrossPoint's pre-training; nothing is normalised again after the first step."""
    points = unit_sphere(points)
    points = random_scale(points, rng)
    points = rotate_y(points, rng)
    points = translate(points, rng)
    points = jitter(points, rng)
    return input_dropout(points, rng)
