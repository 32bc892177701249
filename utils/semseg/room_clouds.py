"""Some tested rooms with their predictions, as the file that scripts.report shows.

Letters: S rooms, M points of all rooms together, Y classes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.scenes.scene import Scene
from utils.files import write_npz

MOST_ROOMS, MOST_POINTS = 4, 24_000  # of a room; a point takes 15 bytes of page


class RoomClouds:
    """Keeps a random subset of the points of the first rooms that it is shown."""

    def __init__(self, most_rooms: int = MOST_ROOMS, most_points: int = MOST_POINTS):
        self.most_rooms, self.most_points = most_rooms, most_points
        self._kept: list[Scene] = []
        self._predicted: list[np.ndarray] = []

    def add(self, scene: Scene, predicted: np.ndarray) -> None:
        """Keep a room and its predictions (N,), unless there are enough or it was kept before."""
        if len(self._kept) == self.most_rooms or scene.name in (kept.name for kept in self._kept):
            return
        rows = np.random.default_rng(0).permutation(len(predicted))[: self.most_points]
        self._kept.append(Scene(scene.name, scene.points[rows], scene.colours[rows], scene.labels[rows]))
        self._predicted.append(predicted[rows].astype(np.uint8))

    def write(self, path: Path, class_names: Sequence[str]) -> None:
        """Write points (M, 3) float32, z up, colours (M, 3), label, predicted, room (M,), room_names (S,), class_names.

        A label that is no class is 255.
        """
        parts = {name: [getattr(scene, name) for scene in self._kept] for name in ("points", "colours", "labels")}
        write_npz(
            path,
            points=np.concatenate(parts["points"]),
            colours=np.concatenate(parts["colours"]),
            label=np.concatenate(parts["labels"]),
            predicted=np.concatenate(self._predicted),
            room=np.repeat(np.arange(len(self._kept)), [len(scene.points) for scene in self._kept]),
            room_names=[scene.name for scene in self._kept],
            class_names=list(class_names),
        )
