"""Rooms with boxes for a detector, read by the readers of ScanNet and of SUN RGB-D as VoteNet prepares it.

Letters: N points, K boxes.
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from datasets.detection.detection_sets import SCANNET, SUN_RGBD, DetectionSet
from datasets.detection.scene_boxes import SceneBoxes
from datasets.detection.votes import Votes, no_votes, votes_of_instances
from datasets.scenes.scannet_scans import list_scans, read_scan, split_list
from datasets.scenes.scene import Scene, boxed_rows, colour_features, height_of
from datasets.scenes.scene_classes import SCANNET_UNBOXED
from datasets.scenes.sunrgbd_scenes import list_prepared, prepared_folder, read_prepared, read_votes
from datasets.transforms.scene_augment import ALIGNED_AUGMENT, ORIENTED_AUGMENT, SceneAugment


class BoxedRoom(NamedTuple):
    """points (N, 3) float32, or (N, 6) with colours from -0.5 to 0.5; boxes; what each point should vote for."""

    points: np.ndarray
    boxes: SceneBoxes
    votes: Votes


class BoxedRooms(Protocol):
    """The rooms of a split. `read` raises ValueError or OSError that names the file at fault."""

    kind: DetectionSet
    augment: SceneAugment
    names: list[str]
    place: Path  # where they are
    source: Path  # of the names: a list, or a folder

    def __len__(self) -> int: ...

    def read(self, index: int, *, with_colours: bool = False, with_votes: bool = True) -> BoxedRoom:
        """Read a room; without votes, no point votes."""
        ...


class ScanNetRooms:
    """Scenes of ScanNet, aligned; the boxes of the instances of its 18 classes. The list of a split is read.

    Points vote for the middle of the box of their instance.

    Args:
        root: with scans/ and scannetv2_<split>.txt.
    """

    kind, augment = SCANNET, ALIGNED_AUGMENT

    def __init__(self, root: Path, split: str):
        self.place = root
        self._folders, self.source = list_scans(root, split), split_list(root, split)
        self.names = [folder.name for folder in self._folders]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int, *, with_colours: bool = False, with_votes: bool = True) -> BoxedRoom:
        """Read a room, see BoxedRooms; one without labels or instances is refused."""
        folder = self._folders[index]
        scene = read_scan(folder)
        if scene.boxes is None:
            raise ValueError(
                f"{folder} has no boxes: it lacks the labels or the instances that they are made of; add "
                f"{folder.name}_vh_clean_2.labels.ply, .aggregation.json and .segs.json, or take it off the list"
            )
        first = len(SCANNET_UNBOXED)  # wall and floor come before the 18 classes
        boxes = scene.boxes._replace(label=scene.boxes.label - first)
        votes = no_votes(len(scene.points))
        if with_votes:
            instance = np.full(len(scene.points), -1)
            for number, (rows, _) in enumerate(boxed_rows(scene.labels, scene.instances, SCANNET_UNBOXED)):
                instance[rows] = number
            votes = votes_of_instances(scene.points, instance)
        return BoxedRoom(_columns(scene, folder, with_colours), boxes, votes)


class SunRgbdRooms:
    """Scenes of SUN RGB-D with turned boxes, and the votes that VoteNet's preparation wrote.

    Args:
        root: with sunrgbd_pc_bbox_votes_50k_v1_<split>/.
    """

    kind, augment = SUN_RGBD, ORIENTED_AUGMENT

    def __init__(self, root: Path, split: str):
        self.place = self.source = prepared_folder(root, split)
        self.names = list_prepared(self.place)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int, *, with_colours: bool = False, with_votes: bool = True) -> BoxedRoom:
        """Read a room, see BoxedRooms."""
        name = self.names[index]
        scene = read_prepared(self.place, name)
        votes = no_votes(len(scene.points))
        if with_votes:
            is_voting, offset = read_votes(self.place, name)
            votes = Votes(offset, is_voting)
        points = _columns(scene, self.place / f"{name}_pc.npz", with_colours)
        return BoxedRoom(points, scene.boxes, votes)


BOXED_ROOMS: dict[str, type[ScanNetRooms] | type[SunRgbdRooms]] = {"scannet": ScanNetRooms, "sunrgbd": SunRgbdRooms}


def require_boxes(
    rooms: BoxedRooms, split: str, *, with_colours: bool = False, read_all: bool = False
) -> dict[str, float]:
    """Refuse rooms none of which has a box; reads as many as it takes to find one.

    Args:
        read_all: read every room, so that a damaged one is found now.
    Returns:
        the heights of the rooms that were read, by name.
    Raises:
        ValueError: names the folder; or a room that was read has no colours, though they are asked for.
        ValueError, OSError: a room that was read is damaged; names the file.
    """
    options = {"with_colours": with_colours, "with_votes": False}
    heights, has_box = {}, False
    for index, name in enumerate(rooms.names):
        if has_box and not read_all:
            break
        room = rooms.read(index, **options)
        heights[name] = height_of(room.points)
        has_box = has_box or len(room.boxes.label) > 0
    if not has_box:
        classes = ", ".join(rooms.kind.classes)
        raise ValueError(
            f"{rooms.place}: none of the {len(rooms)} scenes of {split} has a box of one of {classes}; there is "
            "nothing to detect: add scenes that hold such objects"
        )
    return heights


def _columns(scene: Scene, place: Path, with_colours: bool) -> np.ndarray:
    if not with_colours:
        return scene.points
    if scene.colours is None:
        raise ValueError(f"{place} has no colours; train without them: --inputs height or --inputs none")
    return np.concatenate([scene.points, colour_features(scene.colours)], axis=1)
