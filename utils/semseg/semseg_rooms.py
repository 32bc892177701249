"""The rooms of a semantic segmentation: which are read for a training and its test, and what records say of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.scenes.room_sets import ROOM_CLASSES, TRAIN, choose_rooms, list_split
from datasets.scenes.scene import Scene
from utils.semseg.semseg_settings import RoomSetSettings

Reader = Callable[[Path, str], Scene]  # a room's folder and its data set


def list_train(room_set: RoomSetSettings) -> list[Path]:
    """List the folders of all rooms that may be trained on."""
    return list_split(Path(room_set.data_root), room_set.dataset, TRAIN, room_set.test_area)


def read_rooms(room_set: RoomSetSettings, split: str, seed: int, read: Reader) -> list[Scene]:
    """Read the rooms of a split, of those to train on the labelled share."""
    if split == TRAIN:
        folders = choose_rooms(list_train(room_set), room_set.label_fraction, seed)
    else:
        folders = list_split(Path(room_set.data_root), room_set.dataset, split, room_set.test_area)
    return [read(folder, room_set.dataset) for folder in folders]


def describe_rooms(room_set: RoomSetSettings) -> dict[str, Any]:
    """Return what a weight file and a test must agree on."""
    area = room_set.test_area if room_set.dataset == "s3dis" else None
    return {"dataset": room_set.dataset, "test_area": area, "class_names": list(ROOM_CLASSES[room_set.dataset])}
