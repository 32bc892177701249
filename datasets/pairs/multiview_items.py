"""Items for pre-training by a teacher of views: a cloud, pairs of its points and pixels, what the teacher says."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from datasets.pairs.pair_selection import select_pairs
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.pairs.render_pairs import Item, RenderPairs
from datasets.pairs.source_items import SourceItems
from datasets.transforms.point_transforms import (
    jitter,
    random_scale,
    rotate_so3,
    rotate_y,
    translate,
    unit_sphere,
)

LEAST_SHOWN = 64  # points of a cloud that keeps only what one view shows
_ROTATE = {"y": rotate_y, "so3": rotate_so3}


class Targets(Protocol):
    """What is known of every shape before the training: the teacher's features, and the order of its points."""

    def features(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the maps of its views (V, C, h, w) and its embedding (D,)."""

    def rank(self, index: int) -> np.ndarray | None:
        """Return the place of each point in the farthest-point order, (N,); None where no selection needs it."""


@dataclass(frozen=True)
class SeenCloudAugment:
    """Augmentation that keeps track of which points are still there; published: none.

    Args:
        rotation: y, so3 or none.
        max_scale: factors from 1 / this to this; 1 leaves the scale.
        translation: largest shift as a share of the extent.
        sigma: of the jitter, limited to five times this.
        max_dropout: largest share of points that become copies of point 0; their pairs go.
        partial: share of the clouds that keep only what one view shows, as a scanner would; ours.
    """

    rotation: str = "none"
    max_scale: float = 1.0
    translation: float = 0.0
    sigma: float = 0.0
    max_dropout: float = 0.0
    partial: float = 0.0

    def __call__(
        self, points: np.ndarray, rng: np.random.Generator, table: PixelPairs
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a new cloud and which of its points are left. Shape: (N, 3) -> (N, 3) float32, (N,) bool.

        Args:
            table: tells which of its points each view shows.
        """
        is_left = np.ones(len(points), dtype=bool)
        if self.partial and rng.random() < self.partial:
            is_left = self._shown(len(points), rng, table)
        whole = np.empty_like(points, dtype=np.float32)
        whole[is_left] = self._vary(points[is_left], rng)
        first = int(is_left.argmax())
        whole[~is_left] = whole[first]
        if self.max_dropout:
            is_left &= rng.random(len(points)) > rng.uniform(0.0, self.max_dropout)
            is_left[first] = True
            whole[~is_left] = whole[first]
        return whole, is_left

    def _shown(self, num_points: int, rng: np.random.Generator, table: PixelPairs) -> np.ndarray:
        """Draw a view and return which points it shows, all of them where it shows fewer than LEAST_SHOWN."""
        view = int(rng.integers(table.num_views))
        point = table.point[table.starts[view] : table.starts[view + 1]]
        is_shown = np.zeros(num_points, dtype=bool)
        is_shown[point[point < num_points]] = True
        return is_shown if is_shown.sum() >= LEAST_SHOWN else ~np.zeros(num_points, dtype=bool)

    def _vary(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        points = unit_sphere(points)
        if self.max_scale > 1:
            points = random_scale(points, rng, 1 / self.max_scale, self.max_scale)
        if self.rotation != "none":
            points = _ROTATE[self.rotation](points, rng)
        if self.translation:
            points = translate(points, rng, self.translation)
        if self.sigma:
            points = jitter(points, rng, self.sigma, 5 * self.sigma)
        return points


class MultiViewItems(SourceItems):
    """Items are dicts of points (N, 3), pairs (P, 4) int64, the teacher's maps and target, and index.

    The points are the first N of the stored cloud, as published, so that a cloud is the same in every epoch but for
    its augmentation.

    Args:
        source: its clouds and pairs are read.
        targets: of the same shapes, by index.
        num_points: N.
        num_views: V, the first views of every shape.
        num_pairs: P; shapes with fewer have some twice.
        map_size: side of the grid of pixels that pairs refer to.
        selection: see `select_pairs`.
        augment: of the clouds.
        seed: of the run, >= 0.
    """

    def __init__(
        self,
        source: RenderPairs,
        targets: Targets,
        *,
        num_points: int,
        num_views: int,
        num_pairs: int = 512,
        map_size: int = 32,
        selection: str = "random",
        augment: SeenCloudAugment = SeenCloudAugment(),
        seed: int = 0,
    ):
        super().__init__(source, seed)
        self.targets = targets
        self.num_points, self.num_views, self.num_pairs = num_points, num_views, num_pairs
        self.map_size, self.selection, self.augment = map_size, selection, augment

    def make_item(self, index: int, rng: np.random.Generator) -> Item:
        table = self._table(index)
        points = first_points(self.source, index, self.num_points)
        try:
            points, is_left = self.augment(points, rng, table)
        except ValueError as error:
            raise ValueError(f"{self.source.cloud_name(index)}: {error}; make it again or delete it") from error
        rows = self._rows(index, table, is_left)
        pairs = select_pairs(rows, self.num_pairs, self.selection, rng, self.targets.rank(index))
        try:
            maps, target = self.targets.features(index)
        except ValueError as error:
            raise ValueError(f"{self.files(index)}: {error}") from error
        return {
            "points": torch.from_numpy(points),
            "pairs": torch.from_numpy(pairs),
            "maps": torch.from_numpy(maps),
            "target": torch.from_numpy(target),
        }

    def _table(self, index: int) -> PixelPairs:
        """Read the pairs of the first views."""
        table = self.source.read_pixel_pairs(index)
        require_views(self.source, index, table.num_views, self.num_views)
        return table.of_first_views(self.num_views)

    def _rows(self, index: int, table: PixelPairs, is_left: np.ndarray) -> np.ndarray:
        """Return the pairs of the points that are left. Shape: -> (R, 4)."""
        rows = table.rows(self.map_size)
        rows = rows[rows[:, 3] < self.num_points]
        left = rows[is_left[rows[:, 3]]]
        if len(left) < 2:
            raise ValueError(
                f"{self.files(index)}: {len(rows)} pixels are paired with its first {self.num_points} points in its "
                f"first {self.num_views} views, {len(left)} of them after --partial and --max_dropout, at least 2 are "
                "needed; change --views, --num_points or these, or render it again"
            )
        return left


def first_points(source: RenderPairs, index: int, count: int) -> np.ndarray:
    """Read the first points of a shape's cloud. Shape: -> (count, 3) float32.

    Raises:
        ValueError: it has fewer.
    """
    points = source.read_points(index)
    if len(points) < count:
        raise ValueError(
            f"{source.cloud_name(index)} holds {len(points)} points, {count} are needed; pass --num_points "
            f"{len(points)} or less, or make it again with more points"
        )
    return points[:count]


def require_views(source: RenderPairs, index: int, available: int, wanted: int) -> None:
    """Raise a ValueError that names the shape where fewer views are available than wanted."""
    if available < wanted:
        raise ValueError(
            f"{source.files(index)}: {available} views, --views {wanted} are asked for; pass fewer, or render more"
        )
