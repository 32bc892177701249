"""Pinhole cameras around a shape of unit diagonal.

Axes of a camera are OpenCV's: x right, y down, z forward. A pixel (row, column) covers the square
[column, column + 1) x [row, row + 1) of the image plane, so its centre is (column + 0.5, row + 0.5).
"""

from typing import NamedTuple

import numpy as np

FIELD_OF_VIEW_DEG = 30.0
ELEVATION_DEG = (-5.0, 45.0)
DISTANCE_FACTOR = (1.0, 1.15)  # times the distance at which the bounding sphere just fits the frame


class Camera(NamedTuple):
    """One view: `intrinsics` (3, 3) and `extrinsics` (4, 4, world to camera), float64; `size` (H, W) in pixels."""

    intrinsics: np.ndarray
    extrinsics: np.ndarray
    size: tuple[int, int]

    @property
    def position(self) -> np.ndarray:
        """Centre of projection in world coordinates, (3,)."""
        return -self.extrinsics[:3, :3].T @ self.extrinsics[:3, 3]


def project(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image position and depth of world points; points outside the frame get positions outside it.

    Args:
        camera: the view.
        points: (N, 3) world coordinates, not in the plane z = 0 of the camera.
    Returns:
        pixels (N, 2) float64 as (u, v) = (column, row), see the module for the centre convention; depth (N,)
        float64 along the camera's z axis, <= 0 behind the camera.
    """
    in_camera = np.asarray(points, dtype=np.float64) @ camera.extrinsics[:3, :3].T + camera.extrinsics[:3, 3]
    depth = in_camera[:, 2]
    pixels = (in_camera @ camera.intrinsics.T)[:, :2] / depth[:, None]
    return pixels, depth


def unproject(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """World points at the pixel centres of a depth map.

    Shape: (H, W) with inf for background -> (M, 3) float64, one row per finite pixel, row by row.
    """
    row, column = np.nonzero(np.isfinite(depth))
    pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))], axis=1)
    in_camera = (pixels @ np.linalg.inv(camera.intrinsics).T) * depth[row, column, None]
    return (in_camera - camera.extrinsics[:3, 3]) @ camera.extrinsics[:3, :3]


def look_at(position: np.ndarray) -> np.ndarray:
    """World-to-camera matrix (4, 4) of a camera at `position` (3,) that looks at the origin, y up in the world."""
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    extrinsics = np.eye(4)
    extrinsics[:3, :3] = rotation
    extrinsics[:3, 3] = -rotation @ position
    return extrinsics


def orbit_cameras(
    num_views: int,
    size_px: int,
    rng: np.random.Generator,
    *,
    elevation_deg: tuple[float, float] = ELEVATION_DEG,
    distance_factor: tuple[float, float] = DISTANCE_FACTOR,
    field_of_view_deg: float = FIELD_OF_VIEW_DEG,
) -> list[Camera]:
    """Random cameras that look at the origin from a sphere and hold a shape of unit diagonal within the frame.

    Azimuths are stratified: one in each of `num_views` equal sectors, in random order, so that few views still see
    all sides while each single view is uniform. Elevation and distance are uniform.

    Args:
        num_views: > 0.
        size_px: height and width of the image.
        rng: source of all randomness.
        elevation_deg: range, within (-90, 90); 0 is level, positive looks down.
        distance_factor: range; 1 is the distance at which the sphere of diameter 1 just fits.
        field_of_view_deg: full angle across the image.
    Source: random azimuth, bounded elevation and varied distance follow the renderings of Choy et al. 2016,
        arXiv:1604.00449; the ranges are ours.
    """
    if num_views < 1 or size_px < 1:
        raise ValueError(f"num_views and size_px must be positive, got {num_views} and {size_px}")
    half_angle = np.radians(field_of_view_deg) / 2
    focal_px = size_px / 2 / np.tan(half_angle)
    intrinsics = np.array([[focal_px, 0, size_px / 2], [0, focal_px, size_px / 2], [0, 0, 1]])
    azimuth = 2 * np.pi * rng.permutation(np.arange(num_views) + rng.random(num_views)) / num_views
    elevation = np.radians(rng.uniform(*elevation_deg, num_views))
    distance = 0.5 / np.sin(half_angle) * rng.uniform(*distance_factor, num_views)
    direction = np.stack(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)], axis=1
    )
    return [Camera(intrinsics, look_at(position), (size_px, size_px)) for position in distance[:, None] * direction]
