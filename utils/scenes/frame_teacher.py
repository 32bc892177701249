"""What a frozen image network says of RGB-D frames, computed once and kept on disk: a map and an embedding of each.

maps.npy    (F, C, h, w) float16, target.npy  (F, D) float32, index.json, as in utils/multiview/cached_arrays.py
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from datasets.scenes.frame_pairs import FramePairs, read_colours
from datasets.transforms.image_transforms import normalize_, resize_square, to_pixels
from models.encoders.multiview_resnet import MultiViewNetwork
from utils.multiview.cached_arrays import CachedArrays, digest_of_network, fill_rows, find_or_compute, open_to_fill


class TaughtFeatures:
    """The features of all frames of some pairs, by scene and place in it.

    Args:
        pairs: of frames.
        folder: as `find_or_compute` returns it.
    """

    def __init__(self, pairs: FramePairs, folder: Path):
        self.arrays = CachedArrays(folder)
        self.row_of = {frame: row for row, frame in enumerate(frames_of(pairs))}

    def features(self, scene: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the map (C, h, w) float16 and the embedding (D,) float32 of a frame, both copies.

        Raises:
            ValueError: the cache is damaged, or was computed without this frame, which could not be read.
        """
        row = self.row_of[scene, frame]
        target = np.array(self.arrays.array("target")[row])
        if np.isnan(target).any():
            raise self.arrays.unread()
        return np.array(self.arrays.array("maps")[row]), target

    @property
    def dims(self) -> tuple[int, int]:
        """Channels of the maps, and width of the embeddings."""
        return self.arrays.array("maps").shape[1], self.arrays.array("target").shape[1]


def frames_of(pairs: FramePairs) -> list[tuple[int, int]]:
    """List the frames in any pair as (scene, place), in order."""
    return sorted({(int(scene), int(place)) for scene, *places in pairs.rows for place in places})


def build_features(
    parent: Path,
    pairs: FramePairs,
    teacher: MultiViewNetwork,
    *,
    image_size: int,
    layer: int,
    device: torch.device,
    skips_bad: bool,
    report: Callable[[str], None],
) -> TaughtFeatures:
    """Let the teacher see all frames, resized to squares, or find its features where it has; each rank does its share.

    Args:
        parent: each cache is a folder of this one, named by what it was computed from.
        layer: of the teacher, whose maps are kept.
        skips_bad: leave out pictures that cannot be read: `features` of such a frame then raises.
        report: called with lines for people.
    Raises:
        ValueError, OSError: no room, or a picture cannot be read.
    """
    frames = frames_of(pairs)

    def read(row: int) -> torch.Tensor:
        scene, place = frames[row]
        pixels = to_pixels(read_colours(pairs.scenes[scene].read(place)))
        return normalize_(resize_square(pixels[None], image_size).float())[0]

    def see(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            maps, target = teacher.see(image[None, None].to(device), layer)
        return maps[0, 0].cpu().numpy(), target[0].cpu().numpy()

    def compute(folder: Path) -> list[str]:
        teacher.eval().to(device)
        maps, target = see(torch.zeros(3, image_size, image_size))
        layout = {
            "maps": ((len(frames), *maps.shape), np.float16),
            "target": ((len(frames), *target.shape), np.float32),
        }
        arrays = open_to_fill(folder, layout)

        def put(row: int, image: torch.Tensor) -> None:
            arrays["maps"][row], arrays["target"][row] = see(image)

        faults = fill_rows(arrays, "target", read, put, unit="frame", skips_bad=skips_bad)
        for array in arrays.values():
            array.flush()
        return faults

    def describe() -> dict[str, object]:
        shapes = {"teacher": digest_of_network(teacher), "frames": _digest(pairs, frames)}
        return {**shapes, "image_size": image_size, "layer": layer}

    return TaughtFeatures(pairs, find_or_compute(parent, describe, compute, f"{len(frames)} frames", report))


def _digest(pairs: FramePairs, frames: list[tuple[int, int]]) -> str:
    """Digest the names of the frames, and what tells whether their pictures have changed."""
    stamps = []
    for number, place in frames:
        scene = pairs.scenes[number]
        path = scene.folder / "color" / f"{scene.numbers[place]}.jpg"
        stat = path.stat() if path.is_file() else None  # a missing one is named, or skipped, where it is read
        stamps.append((scene.folder.name, scene.numbers[place], *((stat.st_size, stat.st_mtime_ns) if stat else ())))
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
