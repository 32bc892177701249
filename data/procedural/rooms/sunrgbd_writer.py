"""Writing of single frames of a scanned room as scenes of SUN RGB-D, as VoteNet prepares them."""

from pathlib import Path

import numpy as np

from data.procedural.rooms.furnishing import Room
from data.procedural.rooms.room_classes import sunrgbd_label
from data.procedural.rooms.room_scan import ScannedFrame
from datasets.detection.scene_boxes import SceneBoxes
from datasets.detection.votes import votes_of_boxes
from utils.files import write_atomically, write_npz

NUM_POINTS = 50_000
_MARGIN_M = 0.02  # around an object: without it, noise puts half the points of a table's top outside
_LEAST_SEEN = 0.002  # share of a frame's pixels that an object must have to get a box


def write_prepared(
    folder: Path, scene_id: str, room: Room, frame: ScannedFrame, rng: np.random.Generator, num_points: int = NUM_POINTS
) -> None:
    """Write the cloud of a frame, the boxes of the objects seen in it, and the votes of its points.

    A box is that of the whole object, seen or not, as annotators draw it. The cloud is written last.
    """
    to_frame = upright_axes(frame.camera.extrinsics)
    points, colours, thing = frame.measured()
    rows = rng.choice(len(points), num_points, replace=len(points) < num_points)
    cloud = np.concatenate([(points[rows] - frame.camera.position) @ to_frame.T, colours[rows] / 255], axis=1)
    cloud = cloud.astype(np.float32)
    seen = np.bincount(thing[thing >= 0], minlength=len(room.things)) >= _LEAST_SEEN * frame.depth.size
    boxes = []
    for one, is_seen in zip(room.things, seen):
        label = sunrgbd_label(one.kind)
        if is_seen and label is not None:
            centre, size = one.own_box
            yaw = np.radians(one.yaw)
            front = to_frame[:2, :2] @ (-np.sin(yaw), np.cos(yaw))
            heading = -np.arctan2(front[1], front[0])
            half = size[[1, 0, 2]] / 2 + _MARGIN_M  # length along the front, width across, height
            boxes.append([*(to_frame @ (centre - frame.camera.position)), *half, heading, label])
    boxes = np.array(boxes).reshape(-1, 8)
    write_atomically(folder / f"{scene_id}_bbox.npy", lambda stream: np.save(stream, boxes))
    write_npz(folder / f"{scene_id}_votes.npz", point_votes=point_votes(cloud[:, :3], boxes))
    write_npz(folder / f"{scene_id}_pc.npz", pc=cloud)


def upright_axes(extrinsics: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) of room axes to those of a frame: x right, y forward on the floor, z up."""
    forward = extrinsics[2, :2] / np.linalg.norm(extrinsics[2, :2])
    return np.array([[forward[1], -forward[0], 0], [forward[0], forward[1], 0], [0, 0, 1]])


def point_votes(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Compute VoteNet's votes: whether a point lies in a box, and steps to the centres of three boxes it lies in.

    The first box fills all three places, the second the second, the third and all further ones the last.

    Shape: (N, 3), (K, 8) -> (N, 10) float32.
    """
    found = votes_of_boxes(points, SceneBoxes(boxes[:, :3], 2 * boxes[:, 3:6], boxes[:, 6], boxes[:, 7]))
    return np.concatenate([found.is_voting[:, None], found.offset.reshape(-1, 9)], axis=1).astype(np.float32)
