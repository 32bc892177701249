"""Items for self-training: a cloud and a view of each shape, augmented weakly and strongly, without any label."""

from collections.abc import Mapping

import numpy as np
import torch

from datasets.pairs.render_pairs import Item, RenderPairs
from datasets.pairs.source_items import SourceItems
from datasets.transforms.image_transforms import plain_image
from datasets.transforms.point_transforms import PointAugment, random_subset
from datasets.transforms.weak_strong import hide_patches, strong_image, weak_cloud


class WeakStrongItems(SourceItems):
    """Items are dicts of clouds and images, what is hidden of them, and index; see `CrossModalSelfTraining.forward`.

    Shapes stand in the order of their own names, not of the folders they are in: a class that a folder is named after
    decides nothing, neither an item nor the order of a training, unless shapes of two folders have the same name.

    Args:
        source: its clouds and views are read.
        strong: augments clouds; the published one is CrossPoint's.
        num_points: N, a random subset of each cloud.
        image_size: S, pixels.
        grid: G, patches along a side of an image; None makes no mask.
        with_images: False reads no view.
        given: name of a shape -> number of the class that a person has given it; where there is one, every item also
            has "given", -1 of shapes without.
        seed: of the run, >= 0.
    """

    def __init__(
        self,
        source: RenderPairs,
        strong: PointAugment,
        *,
        num_points: int,
        image_size: int,
        grid: int | None,
        with_images: bool = True,
        given: Mapping[str, int] | None = None,
        seed: int,
    ):
        super().__init__(source, seed)
        self.strong, self.num_points, self.image_size, self.grid = strong, num_points, image_size, grid
        self.with_images, self.given = with_images, given or {}
        names = [source.name(number).rsplit("/", 1) for number in range(len(source))]
        self.order = sorted(range(len(source)), key=lambda number: names[number][::-1])

    def files(self, index: int) -> str:
        return self.source.files(self.order[index])

    def make_item(self, index: int, rng: np.random.Generator) -> Item:
        number = self.order[index]
        item: Item = {"points_draws": torch.from_numpy(rng.random(2))}
        points = self._read_cloud(number, rng)
        try:
            item["points_weak"] = torch.from_numpy(weak_cloud(points, rng))
            item["points_strong"] = torch.from_numpy(self.strong(points, rng))
        except ValueError as error:
            raise ValueError(f"{self.source.cloud_name(number)}: {error}; make it again or delete it") from error
        if self.with_images:
            pixels = self.source.draw_pixels(number, int(rng.integers(self.source.num_views(number))), rng)
            item["image_weak"] = plain_image(pixels, self.image_size)
            item["image_strong"] = strong_image(pixels, self.image_size, rng, self.source.background)
        if self.grid is not None:
            item["image_mask"] = torch.from_numpy(hide_patches(self.grid, rng))
        if self.given:
            item["given"] = self.given.get(self.source.name(number), -1)
        return item

    def _read_cloud(self, number: int, rng: np.random.Generator) -> np.ndarray:
        points = self.source.read_points(number)
        if len(points) < self.num_points:
            raise ValueError(
                f"{self.source.cloud_name(number)} holds {len(points)} points, {self.num_points} are needed; pass "
                f"--num_points {len(points)} or less, or make it again with more points"
            )
        return random_subset(points, rng, self.num_points)
