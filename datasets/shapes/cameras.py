"""Pinhole cameras of rendered views and their depth maps, as stored in `cameras.npz` and `depth.npz` of a shape.

Axes of a camera are OpenCV's: x right, y down, z forward. A pixel (row, column) covers the square
[column, column + 1) x [row, row + 1) of the image plane, so its centre is (column + 0.5, row + 0.5).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np


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
    """Project world points to image positions and depths; positions may lie outside the frame.

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
    """Lift the pixel centres of a depth map to world points.

    Shape: (H, W) with inf for background -> (M, 3) float64, one row per finite pixel, row by row.
    """
    row, column = np.nonzero(np.isfinite(depth))
    pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))], axis=1)
    in_camera = (pixels @ np.linalg.inv(camera.intrinsics).T) * depth[row, column, None]
    return (in_camera - camera.extrinsics[:3, 3]) @ camera.extrinsics[:3, :3]


def look_at(position: np.ndarray) -> np.ndarray:
    """Return the world-to-camera matrix (4, 4) of a camera at `position` (3,) facing the origin, y up."""
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    extrinsics = np.eye(4)
    extrinsics[:3, :3] = rotation
    extrinsics[:3, 3] = -rotation @ position
    return extrinsics


def read_cameras(path: Path) -> list[Camera]:
    """Read the cameras of a `cameras.npz`, one per view."""
    with np.load(path) as arrays:
        height, width = (int(side) for side in arrays["size"])
        return [Camera(k, e, (height, width)) for k, e in zip(arrays["intrinsics"], arrays["extrinsics"])]


def decode_depth(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Decode the arrays of a `depth.npz` to depth (V, H, W) float64 along the camera's z axis, inf for background."""
    depth = arrays["offset"] + arrays["scale"] * arrays["depth"].astype(np.float64)
    return np.where(arrays["depth"] > 0, depth, np.inf)
