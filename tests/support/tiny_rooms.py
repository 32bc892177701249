"""Rooms of a grey floor with a red box on it, in the layout of S3DIS, and a smaller SR-UNet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

from models.encoders.scenes.sr_unet import PLANS, Plan
from tests.support.real_scenes import write_room


def write_box_rooms(root: Path, areas: tuple[int, ...] = (1, 1, 2, 5), density: int = 1) -> Path:
    """Write a room for each area named, far from the origin, with the box at another place.

    A room has 370 points times `density`; of 3 each block of 1 m has enough of them.
    """
    for number, area in enumerate(areas):
        rng = np.random.default_rng(number)
        floor = rng.uniform(0, 1.8, (250 * density, 3)) * (1, 1, 0)
        box = rng.uniform(0, 0.5, (120 * density, 3)) + (*rng.uniform(0, 1.2, 2), 0.1)
        files = {"floor_1.txt": _lines(rng, floor, 90), "table_1.txt": _lines(rng, box, (200, 60, 60))}
        write_room(root, area, f"office_{number}", files)
    return root


def _lines(rng: np.random.Generator, points: np.ndarray, colour: object) -> bytes:
    colours = np.clip(colour + rng.normal(0, 10, points.shape), 0, 255).astype(int)
    rows = zip((points + (40, -20, 0)).tolist(), colours.tolist())
    return "".join(f"{x:.3f} {y:.3f} {z:.3f} {r} {g} {b}\n" for (x, y, z), (r, g, b) in rows).encode()


COMMAND = "--voxel 0.2 --plan 14A --batch_size 2 --num_workers 0 --device cpu --lr 0.3"  # of scripts.train_semseg


@contextmanager
def tiny_plan() -> Iterator[None]:
    """Give SR-UNet 14A eight channels a stage in this block."""
    with patch.dict(PLANS, {"14A": Plan(PLANS["14A"].layers, (8,) * 8)}):
        yield
