"""Frames of a scene of ScanNet with a wall and a box before it, drawn by intersecting rays, in metres."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.real_scenes import write_scan

SHIFTS = (0, 0.3, 0.7, 3.0)  # of the camera along x, metres; the last sees another part of the wall
SIZE = (24, 32)  # rows, columns
FOCAL = 28.0
_WALL, _BOX = 2.0, 1.3  # along the axis of the camera
_BOX_X, _BOX_Y = (0.1, 0.5), (-0.2, 0.3)


def write_wall_frames(root: Path, name: str) -> Path:
    """Write a scene whose frames 0, 25, 50, 75 look along y, turned a little, and miss some pixels."""
    scene = write_scan(root, name, labelled=False)
    for part in ("color", "depth", "pose", "intrinsic"):
        (scene / part).mkdir()
    rng = np.random.default_rng(0)
    intrinsics = np.array([[FOCAL, 0, SIZE[1] / 2 - 0.5], [0, FOCAL, SIZE[0] / 2 - 0.5], [0, 0, 1]])
    rows, columns = np.indices(SIZE)
    rays = np.stack([columns, rows, np.ones(SIZE)], axis=2) @ np.linalg.inv(intrinsics).T
    for number, shift in zip(range(0, 100, 25), SHIFTS):
        turn = 0.1 * np.sin(number)
        to_axes = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        seen = rays @ to_axes.T
        far, near = _WALL / seen[..., 2], _BOX / seen[..., 2]
        x, y = shift + near * seen[..., 0], near * seen[..., 1]
        is_box = (x > _BOX_X[0]) & (x < _BOX_X[1]) & (y > _BOX_Y[0]) & (y < _BOX_Y[1])
        z = np.where(is_box, near, far)
        depth = np.where(rng.random(SIZE) < 0.05, 0, np.round(1000 * z)).astype(np.uint16)
        Image.fromarray(depth).save(scene / "depth" / f"{number}.png")
        stripes = np.stack([is_box * 200, np.floor(3 * (shift + far * seen[..., 0])) % 4 * 60, 0 * z + 90], axis=2)
        Image.fromarray(stripes.astype(np.uint8)).resize((64, 48)).save(scene / "color" / f"{number}.jpg")
        pose = np.eye(4)
        pose[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) @ to_axes  # z forward is the scene's +y
        pose[:3, 3] = shift, 0, 1
        np.savetxt(scene / "pose" / f"{number}.txt", pose)
    for kind, scale in (("depth", 1), ("color", 2)):
        matrix = np.eye(4)
        matrix[:2, :3] = intrinsics[:2] * scale
        np.savetxt(scene / "intrinsic" / f"intrinsic_{kind}.txt", matrix)
    return scene
