"""Pre-training items of rooms: two overlapping RGB-D frames of a scene, with their matched points or paired pixels.

Sources: Xie et al. 2020 (PointContrast), arXiv:2007.10985; Tran et al. 2022, arXiv:2210.15904.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from datasets.epoch_counter import EpochCounter
from datasets.pairs.pair_selection import select_pairs
from datasets.scenes.frame_overlap import see
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scene import Frame, colour_features
from datasets.shapes.cameras import unproject
from datasets.transforms.point_transforms import rotate_so3

Item = dict[str, Tensor | int]


@dataclass(frozen=True)
class FramePairs:
    """The overlapping frames of some scenes: `rows` (K, 3) int, scene, first and second place among its frames."""

    scenes: Sequence[SceneFrames]
    rows: np.ndarray


class Cloud(NamedTuple):
    """What a frame has measured: points (M, 3) float64 in the world, their colours (M, 3) uint8."""

    points: np.ndarray
    colours: np.ndarray


class FrameFeatures(Protocol):
    """What the teacher says of every frame."""

    def features(self, scene: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return its map (C, h, w) and its embedding (D,)."""


def read_colours(frame: Frame) -> Image.Image:
    """Read the colour picture of a frame.

    Raises:
        ValueError: it is damaged.
    """
    try:
        with Image.open(frame.colour_path) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{frame.colour_path} is not a readable picture ({error}); export it again") from error


def read_cloud(frame: Frame) -> Cloud:
    """Lift the measured pixels of a frame, row by row, with the colours of a picture resized to the depth map.

    Raises:
        ValueError: the picture is damaged, or nothing was measured.
    """
    is_measured = np.isfinite(frame.depth)
    if not is_measured.any():
        raise ValueError(f"the depth of {frame.colour_path} has no measurement; export it again or delete the frame")
    height, width = frame.depth.shape
    colours = np.asarray(read_colours(frame).resize((width, height), Image.Resampling.BILINEAR))
    return Cloud(unproject(frame.camera, frame.depth), colours[is_measured])


def rotate_z(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate about the vertical axis by a uniform angle."""
    cos, sin = np.cos(angle := rng.uniform(0, 2 * np.pi)), np.sin(angle)
    return points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


ROTATIONS = {"so3": rotate_so3, "z": rotate_z, "none": lambda points, rng: points}


class FramePairItems(EpochCounter, Dataset, ABC):
    """Base: an item of every pair, a function of (seed, epoch, index), which holds "index".

    Clouds have N of a frame's points, some of them twice where it has fewer. They are centred at their mean, then
    turned; colours are scaled to -0.5 to 0.5.

    Args:
        pairs: of frames.
        num_points: N.
        rotation: of each cloud by itself, a key of ROTATIONS.
        seed: of the run, >= 0.
    """

    def __init__(self, pairs: FramePairs, num_points: int, rotation: str = "so3", seed: int = 0):
        super().__init__(seed)
        self.pairs, self.num_points, self.rotation = pairs, num_points, rotation
        self._on_read: Callable[[int], None] | None = None

    @abstractmethod
    def make_item(self, index: int, frames: tuple[Frame, Frame], rng: np.random.Generator) -> Item:
        """Make an item of the two frames, all but the index."""

    def __len__(self) -> int:
        return len(self.pairs.rows)

    def files(self, index: int) -> str:
        """Name the frames of an item, for messages."""
        number, *places = self.pairs.rows[index]
        scene = self.pairs.scenes[number]
        first, second = (scene.numbers[place] for place in places)
        return f"{scene.folder}, frames {first} and {second}"

    def watch(self, on_read: Callable[[int], None]) -> None:
        """Call a function with the index of each item before its files are read."""
        self._on_read = on_read

    def __getitem__(self, index: int) -> Item:
        if self._on_read is not None:
            self._on_read(index)
        scene, first, second = self.pairs.rows[index]
        frames = tuple(self.pairs.scenes[scene].read(place) for place in (first, second))
        return {**self.make_item(index, frames, self.item_rng(index)), "index": index}

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Return the items of a batch, for a DataLoader."""
        return [self[index] for index in indices]

    def turned(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Centre and turn a cloud. Shape: (M, 3) -> (M, 3) float32."""
        return ROTATIONS[self.rotation](points - points.mean(axis=0), rng).astype(np.float32)

    def fill(self, num_rows: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `count` of a number of rows, none twice unless there are fewer. Shape: (count,)."""
        return rng.choice(num_rows, count, replace=count > num_rows)


class MatchedFrames(FramePairItems):
    """Items are dicts of points and colours (2, N, 3) of both frames, num_matches, and index.

    Row i of the first cloud and row i of the second are one place, for i < num_matches <= P; all other rows are drawn
    from the whole frames. No two matches lie in one voxel of either cloud, so that none is the negative of itself.

    Args, beside those of FramePairItems:
        num_matches: P, the most of an item.
        voxel_size: edge of a voxel in metres.
        radius: largest distance of matched points in metres.
    """

    def __init__(self, *of_base: object, num_matches: int, voxel_size: float, radius: float, **options: object):
        super().__init__(*of_base, **options)
        self.num_matches, self.voxel_size, self.radius = num_matches, voxel_size, radius

    def make_item(self, index: int, frames: tuple[Frame, Frame], rng: np.random.Generator) -> Item:
        clouds = [read_cloud(frame) for frame in frames]
        matches = match(clouds[0].points, clouds[1].points, frames[1], self.radius)
        turned = [self.turned(cloud.points, rng) for cloud in clouds]
        matches = self._of_own_voxels(rng.permutation(matches), turned)[: self.num_matches]
        if len(matches) < 2:
            raise ValueError(
                f"{self.files(index)}: {len(matches)} voxels of {self.voxel_size:g} m match within {self.radius:g} m, "
                "at least 2 are needed; pass a larger --match_radius or --least_overlap"
            )
        points, colours = [], []
        for cloud, places, side in zip(clouds, turned, matches.T):
            rows = np.concatenate([side, self.fill(len(places), self.num_points - len(side), rng)])
            points.append(places[rows])
            colours.append(colour_features(cloud.colours[rows]))
        return {
            "points": torch.from_numpy(np.stack(points)),
            "colours": torch.from_numpy(np.stack(colours)),
            "num_matches": len(matches),
        }

    def _of_own_voxels(self, matches: np.ndarray, turned: list[np.ndarray]) -> np.ndarray:
        """Keep the first match of each voxel of the first cloud, then of the second; the order stays."""
        for side, points in enumerate(turned):
            cells = np.floor(points[matches[:, side]].astype(np.float64) / self.voxel_size)
            matches = matches[np.sort(np.unique(cells, axis=0, return_index=True)[1])]
        return matches


def match(points: np.ndarray, others: np.ndarray, frame: Frame, radius: float) -> np.ndarray:
    """Match points with what a frame has measured in the pixels where they fall.

    Args:
        points: (M, 3) in the world.
        others: (M', 3), what `frame` has measured, row by row.
        radius: largest distance of two matched points.
    Returns:
        (K, 2) int64, rows of `points` and of `others`.
    """
    pixels, is_shown = see(frame, points, radius)
    row_of_pixel = np.cumsum(np.isfinite(frame.depth)).reshape(frame.depth.shape) - 1
    own = np.flatnonzero(is_shown)
    partner = row_of_pixel[pixels[own, 0], pixels[own, 1]]
    is_near = np.linalg.norm(points[own] - others[partner], axis=1) <= radius
    return np.stack([own[is_near], partner[is_near]], axis=1)


class TaughtFrames(FramePairItems):
    """Items are dicts of points and colours (N, 3), pairs (P, 4) int64, maps (2, C, h, w), target (D,), and index.

    The cloud is that of the first frame. Pairs are rows (view, row, column, point): where either frame shows a point of
    it, on a grid of map_size x map_size cells. `target` is the teacher's embedding of the first frame.

    Args, beside those of FramePairItems:
        features: of all frames.
        num_pairs: P.
        map_size: cells along a side of a view.
        tolerance: of the occlusion test in metres.
    """

    def __init__(
        self,
        *of_base: object,
        features: FrameFeatures,
        num_pairs: int,
        map_size: int,
        tolerance: float,
        **options: object,
    ):
        super().__init__(*of_base, **options)
        self.features, self.num_pairs, self.map_size, self.tolerance = features, num_pairs, map_size, tolerance

    def make_item(self, index: int, frames: tuple[Frame, Frame], rng: np.random.Generator) -> Item:
        cloud = read_cloud(frames[0])
        drawn = self.fill(len(cloud.points), self.num_points, rng)
        rows = pixel_pairs(frames, cloud.points[drawn], self.map_size, self.tolerance)
        scene, *places = self.pairs.rows[index]
        (first, target), (second, _) = (self.features.features(scene, place) for place in places)
        return {
            "points": torch.from_numpy(self.turned(cloud.points[drawn], rng)),
            "colours": torch.from_numpy(colour_features(cloud.colours[drawn])),
            "pairs": torch.from_numpy(select_pairs(rows, self.num_pairs, "random", rng)),
            "maps": torch.from_numpy(np.stack([first, second])),
            "target": torch.from_numpy(target),
        }


def pixel_pairs(frames: Sequence[Frame], points: np.ndarray, map_size: int, tolerance: float) -> np.ndarray:
    """Pair points with the cells of every frame that shows them. Shape: (N, 3) -> (R, 4) int64, see TaughtFrames."""
    rows = []
    for view, frame in enumerate(frames):
        pixels, is_shown = see(frame, points, tolerance)
        cells = pixels * map_size // frame.depth.shape
        rows.append(np.column_stack([np.full(len(points), view), cells, np.arange(len(points))])[is_shown])
    return np.concatenate(rows)
