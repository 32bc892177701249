"""Labelled rooms of S3DIS and ScanNet: which are trained on, which are tested on, and what a training reads of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from datasets.scenes.s3dis_rooms import list_areas, list_rooms, read_room
from datasets.scenes.scannet_scans import labels_path, list_names, list_scans, read_scan, split_list
from datasets.scenes.scene import IGNORED, Scene
from datasets.scenes.scene_classes import S3DIS_CLASSES, SCANNET_CLASSES

ROOM_CLASSES = {"s3dis": S3DIS_CLASSES, "scannet": SCANNET_CLASSES}
TRAIN, TEST = "train", "test"  # of S3DIS by area; ScanNet is tested on its list val: the labels of test are not public


def scored_split(dataset: str) -> str:
    """Return what records call the rooms that are tested on."""
    return "test" if dataset == "s3dis" else "val"


def list_split(root: Path, dataset: str, split: str, test_area: int = 5) -> list[Path]:
    """List the folders of the rooms of a split, in the order of areas and names, or of ScanNet's list.

    Args:
        dataset: a key of ROOM_CLASSES.
        split: TRAIN or TEST.
        test_area: of S3DIS: tested on, all others are trained on.
    Raises:
        FileNotFoundError: no such area, no area beside it, no list, or a room that is not there.
        ValueError: the list is empty.
    """
    if dataset == "scannet":
        name = "train" if split == TRAIN else "val"
        if scans := list_scans(root, name):
            return scans
        raise ValueError(f"{root}: scannetv2_{name}.txt names no scene; expected one a line")
    areas = list_areas(root)
    if split == TEST and test_area not in areas and areas:
        found = ", ".join(map(str, areas))
        raise FileNotFoundError(f"no {root / f'Area_{test_area}'}; pass as --test_area one of those in {root}: {found}")
    others = tuple(area for area in areas if area != test_area)
    if split == TRAIN and areas and not others:
        raise FileNotFoundError(f"{root} has no other area than Area_{test_area}, which is tested on; add areas")
    return list_rooms(root, None if not areas else others if split == TRAIN else (test_area,))


def describe_shared(one: Path, names: Iterable[str], other: Path, other_names: Iterable[str]) -> str | None:
    """Say which scenes two lists or folders of scenes have in common; None where there is none."""
    if not (shared := sorted({*names} & {*other_names})):
        return None
    return f"{one} and {other} both have {len(shared)} scenes, first {', '.join(shared[:3])}: take them out of one"


def require_apart(root: Path, dataset: str) -> None:
    """Refuse to train on scenes that are tested on. Areas of S3DIS are apart by themselves.

    Raises:
        ValueError: ScanNet's lists train and val have scenes in common; names them.
    """
    lists = [split_list(root, split) for split in ("train", "val")] if dataset == "scannet" else [None]
    if None not in lists:
        refuse_shared(*(part for path in lists for part in (path, list_names(path))))


def refuse_shared(trained: Path, names: Iterable[str], tested: Path, tested_names: Iterable[str]) -> None:
    """Refuse lists or folders of scenes to train on and to test on that have some in common, with a ValueError."""
    if shared := describe_shared(trained, names, tested, tested_names):
        raise ValueError(f"{shared}; no scene that is trained on may be tested on")


def choose_rooms(rooms: list[Path], fraction: float, seed: int) -> list[Path]:
    """Draw a share of some rooms, at least one, in their order; for a seed a smaller share is part of a larger one."""
    order = np.random.default_rng(seed).permutation(len(rooms))
    return [rooms[row] for row in sorted(order[: max(round(len(rooms) * fraction), 1)])]


def require_labels(rooms: Sequence[Scene], root: Path, split: str) -> None:
    """Refuse rooms of a split, such as TRAIN, in which no point belongs to any class.

    Raises:
        ValueError: names them.
    """
    names = [room.name for room in rooms if (room.labels == IGNORED).all()]
    if len(names) == len(rooms):
        raise ValueError(
            f"{root}: no point of the rooms to {split} on has a label of a class, {len(names)} rooms, first "
            f"{names[0]}; check their files of labels, or add rooms"
        )


def read_labelled(folder: Path, dataset: str) -> Scene:
    """Read the points, colours and labels of a room, and nothing else of it.

    Raises:
        FileNotFoundError, ValueError: as the readers of the set; it has no labels or no colours, which is said.
    """
    scene = read_room(folder) if dataset == "s3dis" else read_scan(folder, align=False)
    if scene.labels is None:
        lacking = folder / "Annotations/" if dataset == "s3dis" else labels_path(folder)
        raise ValueError(f"{folder} has no labels: no {lacking}; get the room again, or take it out")
    if scene.colours is None:
        raise ValueError(f"{folder} has no colours, which the network takes; get the room again, or take it out")
    return Scene(scene.name, scene.points, scene.colours, scene.labels, notes=scene.notes)
