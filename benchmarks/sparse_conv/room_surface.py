"""Voxels of the surfaces of a furnished room, as a fused scan has them: turned, and with noise."""

import numpy as np
import torch

from models.sparse.voxel_level import VoxelLevel, make_level

VOXEL = 0.05  # metres
_NOISE = 0.003  # metres, of a fused surface
_DENSITY = 6000  # points a square metre: 15 for each voxel of a flat surface
_ROOM = np.array([4.5, 3.5, 2.6])  # metres: more voxels than 18,000
_VOXELS = 18_000  # that the room is made for


def room_voxels(number: int) -> VoxelLevel:
    """Return as many voxels of a room whose area grows with them, the same at every call."""
    rng = np.random.default_rng(0)
    room = _ROOM * (number / _VOXELS) ** 0.5
    pieces = [_faces(rng, np.zeros(3), room)]
    for _ in range(8):
        size = room * rng.uniform(0.08, 0.25, 3)
        corner = np.append(rng.uniform(0, 1, 2) * (room - size)[:2], 0)
        pieces.append(_faces(rng, corner, size))
    points = np.concatenate(pieces)
    points += rng.normal(0, _NOISE, points.shape)
    turn = np.radians(25)
    points[:, :2] = points[:, :2] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    cells = torch.from_numpy(np.floor(points / VOXEL + 0.5)).long().unique(dim=0)
    if len(cells) < number:
        raise ValueError(f"the room has {len(cells)} voxels only, fewer than {number}")
    cells = torch.nn.functional.pad(cells[:number], (1, 0))  # sorted by x: a wall of the room is missing
    return make_level(cells)[0]


def _faces(rng: np.random.Generator, corner: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Draw points on the six faces of a box. Shape: (N, 3)."""
    faces = []
    for axis in range(3):
        area = np.delete(size, axis).prod()
        for side in (0, 1):
            points = rng.uniform(0, 1, (int(area * _DENSITY), 3))
            points[:, axis] = side
            faces.append(corner + points * size)
    return np.concatenate(faces)
