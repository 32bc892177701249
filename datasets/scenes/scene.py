"""What the readers of rooms return: a cloud with labels and boxes, and a frame of an RGB-D camera."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes
from datasets.shapes.cameras import Camera

IGNORED = 255  # the label of a point that belongs to no class of the benchmark
NO_INSTANCE = 0
_USUAL_HEIGHT_M = (1.0, 12.0)  # of a room or hall


class Scene(NamedTuple):
    """The cloud of a room, z up.

    Attributes:
        name: of the scene within its data set.
        points: (N, 3) float32, metres.
        colours: (N, 3) uint8; None where the files have none.
        labels: (N,) uint8, classes of the data set or IGNORED; None for a scene without labels.
        instances: (N,) int32, from 1, NO_INSTANCE elsewhere; None where the files name none.
        boxes: of its objects, labelled as its points; None where the files have neither boxes nor instances.
        notes: what was repaired or left out while reading, a sentence each.
    """

    name: str
    points: np.ndarray
    colours: np.ndarray | None = None
    labels: np.ndarray | None = None
    instances: np.ndarray | None = None
    boxes: SceneBoxes | None = None
    notes: tuple[str, ...] = ()


class Frame(NamedTuple):
    """A frame of an RGB-D camera: axes x right, y down, z forward.

    Attributes:
        colour_path: the colour picture, of any size; it covers the view of the depth.
        depth: (H, W) float32, metres along z; inf where the sensor measured nothing.
        pose: (4, 4) float64, camera to world.
        intrinsics: (3, 3) float64 of the depth, as the file has it: a pixel's centre lies at its whole (column, row).
    """

    colour_path: Path
    depth: np.ndarray
    pose: np.ndarray
    intrinsics: np.ndarray

    @property
    def camera(self) -> Camera:
        """The camera of the depth map under the convention of `datasets.shapes.cameras`, half a pixel further on."""
        half_pixel = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        return Camera(half_pixel @ self.intrinsics, np.linalg.inv(self.pose), self.depth.shape)


def height_of(points: np.ndarray) -> float:
    """Return how high a cloud (N, 3 or more) is along z."""
    return float(np.ptp(points[:, 2]))


def height_doubts(heights: Mapping[str, float]) -> list[str]:
    """Say where rooms are unlike rooms in metres and z up, which their heights can tell; nothing where none is.

    Args:
        heights: of the rooms that were read, by name.
    """
    low, high = _USUAL_HEIGHT_M
    unusual = [(name, height) for name, height in heights.items() if not low <= height <= high]
    if not unusual:
        return []
    name, height = unusual[0]
    read = f" (outside {low:g} to {high:g} m: {len(unusual)} of {len(heights)} rooms read)" if len(heights) > 1 else ""
    return [f"{name} is {height:g} m high along z{read}; rooms are taken in metres and z up"]


def colour_features(colours: np.ndarray) -> np.ndarray:
    """Turn colours from 0 to 255 into those that SR-UNet takes, from -0.5 to 0.5. Shape: (N, 3) -> (N, 3) float32."""
    return (colours / 255 - 0.5).astype(np.float32)


def instance_boxes(
    points: np.ndarray, labels: np.ndarray, instances: np.ndarray, without: frozenset[int]
) -> SceneBoxes:
    """Bound every instance by an axis-aligned box; its class is the most frequent label of its points.

    Args:
        points: (N, 3).
        labels: (N,) uint8.
        instances: (N,), NO_INSTANCE for no instance.
        without: classes that get no box, such as walls; instances that are mostly IGNORED get none either.
    """
    found = list(boxed_rows(labels, instances, without))
    ends = [(points[rows].min(axis=0), points[rows].max(axis=0)) for rows, _ in found]
    low, high = np.array(ends, dtype=np.float32).reshape(-1, 2, 3).swapaxes(0, 1)
    label = np.array([label for _, label in found], dtype=np.int64)
    return SceneBoxes((low + high) / 2, high - low, np.zeros(len(found), dtype=np.float32), label)


def boxed_rows(
    labels: np.ndarray, instances: np.ndarray, without: frozenset[int]
) -> Iterator[tuple[np.ndarray, np.integer]]:
    """Yield the rows of every instance that `instance_boxes` gives a box, in order of its number, with its class."""
    order = np.argsort(instances, kind="stable")
    starts = np.flatnonzero(np.diff(instances[order], prepend=np.int64(-1)))
    for rows in np.split(order, starts[1:]) if len(order) else ():
        label = np.bincount(labels[rows]).argmax()
        if instances[rows[0]] != NO_INSTANCE and label != IGNORED and label not in without:
            yield rows, label
