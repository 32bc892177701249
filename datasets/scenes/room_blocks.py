"""Rooms cut into blocks: squares seen from above with all that stands on them, and nine numbers of each point.

As in PointNet's preparation of S3DIS (Qi et al. 2017, arXiv:1612.00593; charlesq34/pointnet, sem_seg/indoor3d_util.py),
which DGCNN's and selfsup_pcd's code takes over: x and y about the middle of the block, z above the lowest point of the
room, colours from 0 to 1, and x, y and z as shares of the room's extent.

Letters: N points of a room, P points drawn of a block.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets.epoch_counter import EpochCounter
from datasets.scenes.scene import Scene

FEWEST = 100  # points of a block; one with fewer is left out, as published
TRAINING_STEP = 0.5  # of the grid that is trained on, as a share of a block's edge: published


class BlockForm(NamedTuple):
    """How rooms are cut: edge of a block and step of the scored grid in metres, and the points drawn of a block, P."""

    size: float = 1.0
    stride: float = 1.0
    num_points: int = 4096


class Block(NamedTuple):
    """The lower corner of a block (2,), and the rows of the points in it, in their order."""

    corner: np.ndarray
    rows: np.ndarray


def placed(room: Scene) -> Scene:
    """Move the lowest corner of a room's bounding box to the origin; a room that lies there is returned itself."""
    low = room.points.min(axis=0)
    return room._replace(points=(room.points - low.astype(np.float64)).astype(np.float32)) if low.any() else room


def grid_blocks(points: np.ndarray, size: float, stride: float, start: float = 0.0) -> Iterator[Block]:
    """Yield the blocks of a grid over a `placed` room, x by x and y by y; every point lies in one or more.

    Points on an edge belong to both blocks; a block without points is not yielded.

    Args:
        points: (N, 3).
        size, stride: in metres, stride <= size.
        start: of the first block along x and y, <= 0.
    """
    x_order = np.argsort(points[:, 0], kind="stable")
    for x_low, strip in _intervals(points[x_order, 0], size, stride, start):
        if strip.stop == strip.start:
            continue
        rows = x_order[strip]
        y_order = rows[np.argsort(points[rows, 1], kind="stable")]
        for y_low, part in _intervals(points[y_order, 1], size, stride, start, points[:, 1].max()):
            if part.stop > part.start:
                yield Block(np.array([x_low, y_low]), np.sort(y_order[part]))


def _intervals(
    values: np.ndarray, size: float, stride: float, start: float, extent: float | None = None
) -> Iterator[tuple[float, slice]]:
    """Yield the lower end of every interval up to `extent`, and the places of the sorted `values` within."""
    extent = np.float64(values[-1] if extent is None else extent)
    number = max(int(np.ceil((extent - start - size) / stride)) + 1, 1)
    for step in range(number):
        low = start + step * stride
        high = max(low + size, extent) if step == number - 1 else low + size  # rounding must not lose the last point
        ends = np.searchsorted(values, np.float64(low), "left"), np.searchsorted(values, np.float64(high), "right")
        yield low, slice(*map(int, ends))


def draw_rows(rows: np.ndarray, num_points: int, rng: np.random.Generator) -> np.ndarray:
    """Draw P of the rows of a block, each at most once where there are enough; else all of them and some again."""
    if len(rows) >= num_points:
        return rng.choice(rows, num_points, replace=False)
    return np.concatenate([rows, rng.choice(rows, num_points - len(rows))])


def covering_draws(rows: np.ndarray, num_points: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield draws of P rows of a block, as many as it takes for each row to be in one; the last is filled at random."""
    order = rng.permutation(rows)
    for first in range(0, len(order), num_points):
        part = order[first : first + num_points]
        yield np.concatenate([part, rng.choice(rows, num_points - len(part))])


def block_channels(room: Scene, extent: np.ndarray, rows: np.ndarray, size: float) -> np.ndarray:
    """Return the nine numbers of points of a block, those of a network's input. Shape: rows (P,) -> (P, 9) float32.

    Args:
        room: `placed`.
        extent: (3,), the largest coordinates of the room.
        size: edge of the block. As published, its middle is that of a block which begins at the first of these points.
    """
    points = room.points[rows]
    local = points.copy()
    local[:, :2] -= local[:, :2].min(axis=0) + np.float32(size / 2)
    shares = points / np.where(extent > 0, extent, 1).astype(np.float32)
    return np.concatenate([local, room.colours[rows].astype(np.float32) / 255, shares], axis=1)


def list_places(rooms: Sequence[Scene], folder: Path, form: BlockForm) -> list[tuple[int, np.ndarray]]:
    """List the blocks of the grids over `placed` rooms that have enough points: number of the room, lower corner (2,).

    Raises:
        ValueError: there is none; names the folder.
    """
    found = [
        (number, block.corner)
        for number, room in enumerate(rooms)
        for block in grid_blocks(room.points, form.size, form.stride)
        if len(block.rows) >= FEWEST
    ]
    if not found:
        raise ValueError(
            f"{folder}: none of {len(rooms)} rooms has {FEWEST} points in a block of {form.size:g} m; rooms are taken "
            "in metres: pass a larger --block_size, or denser rooms"
        )
    return found


class TrainingBlocks(EpochCounter, Dataset):
    """Draws blocks of rooms: of every place of a grid over all rooms in turn, moved by up to half its step.

    Its step is half a block, so that an epoch has as many draws as the published one. Items: points (P, 9) float32,
    label (P,) int64 and `index`, the number of the room.

    Args:
        rooms: with colours and labels.
        folder: that they were read from, for messages.
        seed: of the run, >= 0.
        form: of the blocks; its step is not that of a training.
    Raises:
        ValueError: as `list_places`.

    Attributes:
        length: draws in an epoch; the number of places until it is set.
    """

    def __init__(self, rooms: Sequence[Scene], folder: Path, *, seed: int, form: BlockForm):
        super().__init__(seed)
        self.rooms, self.folder = [placed(room) for room in rooms], folder
        self.by_x = [np.argsort(room.points[:, 0], kind="stable").astype(np.int32) for room in self.rooms]
        self.x = [room.points[order, 0] for room, order in zip(self.rooms, self.by_x)]
        self.form = form._replace(stride=TRAINING_STEP * form.size)
        self.extents = [room.points.max(axis=0) for room in self.rooms]
        found = list_places(self.rooms, folder, self.form)
        self.places = [found[place] for place in np.random.default_rng(seed).permutation(len(found))]
        self.length = len(self.places)

    def files(self, index: int) -> str:
        """Name a room, for messages."""
        return f"{self.folder}: {self.rooms[index % len(self.rooms)].name}"

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict[str, Any]:
        index, corner = self.places[(self.epoch * self.length + number) % len(self.places)]
        room, rng, form = self.rooms[index], self.item_rng(number), self.form
        rows = self._rows(index, corner + rng.uniform(-form.stride / 2, form.stride / 2, 2))
        if len(rows) < FEWEST:
            rows = self._rows(index, corner)
        rows = draw_rows(rows, form.num_points, rng)
        return {
            "points": torch.from_numpy(block_channels(room, self.extents[index], rows, form.size)),
            "label": torch.from_numpy(room.labels[rows].astype(np.int64)),
            "index": index,
        }

    def _rows(self, index: int, corner: np.ndarray) -> np.ndarray:
        """Return the rows of the points of a room in the block at a corner (2,), edges included."""
        low, high = corner, corner + self.form.size
        ends = np.searchsorted(self.x[index], low[0], "left"), np.searchsorted(self.x[index], high[0], "right")
        strip = self.by_x[index][slice(*ends)]
        y = self.rooms[index].points[strip, 1]
        return strip[(y >= low[1]) & (y <= high[1])]
