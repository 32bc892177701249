"""The path of a hand-held camera through a room: once around, looking across and down, in no thing and no wall."""

import numpy as np

from data.procedural.rooms.furnishing import Room
from datasets.shapes.cameras import Camera

FOCAL = 577.870605 / 640  # of ScanNet's depth camera, in widths of the picture
_SHELL = ("wall", "floor", "ceiling")
_AROUND_M = 0.3  # free space around the camera, more than a lens needs
_RADII = (1.0, 0.85, 0.7, 0.5, 0.3, 0.1)  # shares of the largest radius, tried in turn
_HEIGHTS_M = (1.5, 1.65, 1.35, 1.8, 1.2, 2.0)


def camera_path(room: Room, count: int, width_px: int, rng: np.random.Generator) -> list[Camera]:
    """Place `count` cameras of width_px x (3/4 width_px) pixels on one round through a room, all axes z up.

    Neighbours see much of the same: of 16 cameras, each is turned by 22.5 degrees and some jitter.
    """
    things = [one for one in room.things if one.kind not in _SHELL]
    low = np.array([one.low for one in things]).reshape(-1, 3) - _AROUND_M
    high = np.array([one.high for one in things]).reshape(-1, 3) + _AROUND_M
    start, sense = rng.uniform(0, 2 * np.pi), rng.choice((-1, 1))
    cameras = []
    for step in range(count):
        angle = start + sense * 2 * np.pi * (step + rng.uniform(-0.15, 0.15)) / count
        position = _free_place(room.size, angle, low, high) + rng.uniform(-0.03, 0.03, 3)
        pitch = np.radians(14 + 12 * np.sin(2.4 * step + start) + rng.uniform(-3, 3))  # downwards
        across = angle + np.pi + np.radians(rng.uniform(-12, 12))
        forward = np.array([np.cos(across) * np.cos(pitch), np.sin(across) * np.cos(pitch), -np.sin(pitch)])
        cameras.append(_looking(position, forward, np.radians(rng.uniform(-2, 2)), width_px))
    return cameras


def _free_place(size: np.ndarray, angle: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Find a place near the path that lies in none of the boxes `low` (K, 3) .. `high`, at usual heights first.

    Where all places lie in boxes, it is the one that lies least deep.
    """
    reach = (size[:2] / 2 - _AROUND_M - 0.1) * 0.9
    places = np.array(
        [
            [*(size[:2] / 2 + share * reach * (np.cos(angle), np.sin(angle))), height]
            for height in _HEIGHTS_M
            for share in _RADII
        ]
    )
    inside = np.minimum(places[:, None] - low, high - places[:, None]).min(axis=2)  # (P, K), > 0 within a box
    depth = inside.max(axis=1, initial=0.0)
    return places[depth.argmin()]  # the first of those that lie in none


def _looking(position: np.ndarray, forward: np.ndarray, roll: float, width_px: int) -> Camera:
    """Make a camera at `position` that looks along the unit vector `forward`, turned by `roll` about it."""
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    extrinsics = np.eye(4)
    extrinsics[:3, :3] = np.stack([right, down, forward])
    extrinsics[:3, 3] = -extrinsics[:3, :3] @ position
    height_px = width_px * 3 // 4
    focal = FOCAL * width_px
    intrinsics = np.array([[focal, 0, width_px / 2], [0, focal, height_px / 2], [0, 0, 1]])
    return Camera(intrinsics, extrinsics, (height_px, width_px))
