"""The rooms of a semantic segmentation: which are read for a training and its test, and what records say of them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from datasets.scenes.room_blocks import placed
from datasets.scenes.room_sets import (
    ROOM_CLASSES,
    TRAIN,
    choose_rooms,
    list_split,
    read_labelled,
    require_apart,
    require_labels,
)
from datasets.scenes.scene import Scene, height_doubts, height_of
from utils.semseg.semseg_settings import RoomSetSettings, SemsegSettings

Reader = Callable[[Path, str], Scene]  # a room's folder and its data set


def reader_for(training: SemsegSettings) -> Reader:
    """Return what reads a room: as its files have it, or `placed` for blocks, so that it is in memory once."""
    if not training.is_by_blocks:
        return read_labelled
    return lambda folder, dataset: placed(read_labelled(folder, dataset))


def list_train(room_set: RoomSetSettings) -> list[Path]:
    """List the folders of all rooms that may be trained on, none of which may be tested on."""
    root = Path(room_set.data_root)
    require_apart(root, room_set.dataset)
    return list_split(root, room_set.dataset, TRAIN, room_set.test_area)


def count_train(room_set: RoomSetSettings, seed: int) -> int:
    """Count the rooms that are trained on."""
    return len(choose_rooms(list_train(room_set), room_set.label_fraction, seed))


def read_rooms(room_set: RoomSetSettings, split: str, seed: int, read: Reader) -> list[Scene]:
    """Read the rooms of a split, of those to train on the labelled share."""
    if split == TRAIN:
        folders = choose_rooms(list_train(room_set), room_set.label_fraction, seed)
    else:
        folders = list_split(Path(room_set.data_root), room_set.dataset, split, room_set.test_area)
    rooms = [read(folder, room_set.dataset) for folder in folders]
    require_labels(rooms, Path(room_set.data_root), split)
    return rooms


def doubts_of(rooms: Iterable[Scene]) -> list[str]:
    """Say as notes where rooms are unlike rooms in metres and z up."""
    return [f"note: {doubt}" for doubt in height_doubts({room.name: height_of(room.points) for room in rooms})]


def describe_rooms(room_set: RoomSetSettings) -> dict[str, Any]:
    """Return what a weight file and a test must agree on."""
    area = room_set.test_area if room_set.dataset == "s3dis" else None
    return {"dataset": room_set.dataset, "test_area": area, "class_names": list(ROOM_CLASSES[room_set.dataset])}
