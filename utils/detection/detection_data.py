"""Rooms with boxes as the items of a training of a detector, and as prepared scenes to score."""

from collections.abc import Iterable

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from datasets.detection.boxed_rooms import BoxedRooms
from datasets.epoch_counter import EpochCounter
from utils.detection.scene_batches import Scene, collate, prepare
from utils.training.data_order import order_parts

INPUTS = {"none": 0, "height": 1, "colour": 3}  # channels of a point beside its place


class AugmentedRooms(EpochCounter, Dataset):
    """Rooms of which each item has `num_points`, drawn and augmented anew in every epoch.

    An item is a scene of the batches of `Detection`, with its `index`. Rooms are read when they are asked for.

    Args:
        rooms: of the training split.
        num_points: of an item.
        inputs: a key of INPUTS.
        seed: of the run, >= 0.
    """

    def __init__(self, rooms: BoxedRooms, num_points: int, inputs: str, seed: int):
        super().__init__(seed)
        self.rooms, self.num_points, self.inputs = rooms, num_points, inputs

    def files(self, index: int) -> str:
        """Name the place and the room of an item, for messages."""
        return f"{self.rooms.place}, {self.rooms.names[index]}"

    def __len__(self) -> int:
        return len(self.rooms)

    def __getitem__(self, index: int) -> dict[str, Tensor | int]:
        room = Scene(*self.rooms.read(index, with_colours=self.inputs == "colour"))
        options = {"use_height": self.inputs == "height"}
        scene = prepare(room, self.item_rng(index), self.num_points, self.rooms.augment, **options)
        try:
            batch = collate([scene])
        except ValueError as error:
            raise ValueError(f"{self.files(index)}: {error}") from error
        return {name: column[0] for name, column in batch.items()} | {"index": index}


@order_parts.register
def _(dataset: AugmentedRooms) -> Iterable[bytes]:
    return (f"{name}\n".encode() for name in dataset.rooms.names)


def scored_scenes(rooms: BoxedRooms, num_points: int, inputs: str) -> list[Scene]:
    """Read all rooms of a split, without augmentation and votes; which points are drawn depends on the room alone."""
    scenes = []
    for index in range(len(rooms)):
        room = Scene(*rooms.read(index, with_colours=inputs == "colour", with_votes=False))
        rng = np.random.default_rng((0, index))
        scenes.append(prepare(room, rng, num_points, use_height=inputs == "height"))
    return scenes
