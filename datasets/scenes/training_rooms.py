"""Rooms as the batches of a semantic segmentation: points of rooms of any sizes, one room after another.

Letters: B rooms, N points.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets.epoch_counter import EpochCounter
from datasets.scenes.scene import Scene, colour_features
from datasets.transforms.colour_augment import ColourAugment
from datasets.transforms.scene_augment import SceneAugment, moved

ROOM_AUGMENT = SceneAugment("xy", 180.0, 0.9, 1.1)  # mirrors, any angle about z, scale: published


def centred(points: np.ndarray) -> np.ndarray:
    """Move the middle of the bounding box to the origin. Shape: (N, 3) -> (N, 3) float32."""
    wide = points.astype(np.float64)
    return (wide - (wide.min(axis=0) + wide.max(axis=0)) / 2).astype(np.float32)


class TrainingRooms(EpochCounter, Dataset):
    """Cycles through rooms, so that the numbers of draws of any two differ by one at most.

    Items: points (N, 3) and colours (N, 3) float32, label (N,) int64 and `index`, the number of the room.

    Args:
        rooms: with colours and labels.
        folder: that they were read from, for messages.
        seed: of the run, >= 0.
        length: draws in an epoch.
        colours: changes the colours of each draw.
        augment: moves each draw; None leaves it as it is.
        crop: edge in metres of the square, seen from above, that is cut out around a point; 0 takes whole rooms.
    """

    def __init__(
        self,
        rooms: Sequence[Scene],
        folder: Path,
        *,
        seed: int,
        length: int,
        colours: ColourAugment | None = None,
        augment: SceneAugment | None = None,
        crop: float = 0.0,
    ):
        super().__init__(seed)
        self.rooms, self.folder, self.length = rooms, folder, length
        self.colours, self.augment, self.crop = colours, augment, crop

    def files(self, index: int) -> str:
        """Name a room, for messages."""
        return f"{self.folder}: {self.rooms[index % len(self.rooms)].name}"

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict[str, Any]:
        index = (self.epoch * self.length + number) % len(self.rooms)
        room, rng = self.rooms[index], self.item_rng(number)
        points, colours, labels = room.points, room.colours, room.labels
        if self.crop:
            middle = points[rng.integers(len(points)), :2]
            rows = (np.abs(points[:, :2] - middle) <= self.crop / 2).all(axis=1)
            points, colours, labels = points[rows], colours[rows], labels[rows]
        points = centred(points)
        if self.augment is not None:
            points = moved(points, self.augment.draw(rng))
        if self.colours is not None:
            colours = self.colours(colours, rng)
        return {
            "points": torch.from_numpy(points),
            "colours": torch.from_numpy(colour_features(colours)),
            "label": torch.from_numpy(labels.astype(np.int64)),
            "index": index,
        }


def collate_rooms(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the points of rooms, (N,) of all together; `lengths` says how many each has, `index` (B,) which they are."""
    batch = {name: torch.cat([item[name] for item in items]) for name in ("points", "colours", "label")}
    index = torch.tensor([item["index"] for item in items])
    return batch | {"lengths": [len(item["points"]) for item in items], "index": index}
