"""Base of the pre-training data sets: augmented clouds of a shape with one of its rendered views."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.epoch_counter import EpochCounter
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.shapes.views import Colour, background_colour, on_background
from datasets.transforms.compositions import MOST_SHAPES, compose_clouds, compose_views, draw_others
from datasets.transforms.image_transforms import draw_image, resize_square, vary_image
from datasets.transforms.point_transforms import PointAugment, augmented_pair, unit_sphere
from datasets.transforms.random_backgrounds import RandomBackgrounds

Item = dict[str, Tensor | int]
PUBLISHED_CLOUDS = augmented_pair()


class RenderPairs(EpochCounter, Dataset, ABC):
    """Items are dicts of clouds (N, 3), as published aug_a and aug_b, image (3, S, S), all float32, and index.

    With V > 1 views the image is (V, 3, S, S). An item draws its views, what stands behind each where backgrounds are
    random, subsets and augmentations, in this order, from (seed, epoch, index) alone, so that it does not depend on the
    kind of storage either. With `compose`, an item may be of two or three shapes, drawn first: one cloud is made of
    theirs, and one picture of a view of each.

    With `augment=False` the clouds are the subsets as stored and the image is uint8, (3, H, W), in the size of its
    view: the input of `BatchAugment`. The views of a batch must then share one size, `view_size`; where a subclass
    knows that its views differ, `view_size` is None and each is resized to S × S here.
    """

    def __init__(
        self,
        *,
        num_points: int | None = None,
        image_size: int = 224,
        background: Colour | RandomBackgrounds = "black",
        clouds: Mapping[str, PointAugment] = PUBLISHED_CLOUDS,
        with_images: bool = True,
        views: int = 1,
        compose: float = 0.0,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        """
        Args:
            num_points: N, a random subset drawn for each cloud of an item; None takes as many as the first shape
                holds.
            image_size: side of the square images, pixels.
            background: black, white or (r, g, b) under transparent pixels, or what draws another for each view.
            clouds: clouds of an item by their keys, in the order in which they are drawn, and what makes each of the
                stored one.
            with_images: False leaves "image" out of the items and needs no pictures, for training on clouds alone.
            views: V, different ones of the shape.
            compose: probability that one or two other shapes join that of an item, see `compositions`.
            augment: False leaves augmentation to the device, see the class.
            seed: of the run, >= 0.
        Raises:
            ValueError: an argument is out of range, a shape has fewer views, there are too few shapes to compose, or
                backgrounds are random and the first view is opaque, or composed.
        """
        for name, value in (("num_points", num_points), ("image_size", image_size)):
            if value is not None and value < 2:
                raise ValueError(f"{name} must be at least 2, got {value}")
        super().__init__(seed)
        if compose and len(self) < MOST_SHAPES:
            raise ValueError(f"--compose {compose:g} needs {MOST_SHAPES} shapes, the data set holds {len(self)}")
        if compose and with_images and isinstance(background, RandomBackgrounds):
            raise ValueError(f"--compose {compose:g} lays views on one background: leave --background random out")
        self.with_images, self.views, self.compose = with_images, views, compose
        if with_images and views > 1:
            self._require_views()
        self.backgrounds = background if isinstance(background, RandomBackgrounds) else None
        self.background = background_colour("black" if isinstance(background, RandomBackgrounds) else background)
        self.num_points = len(self.read_points(0)) if num_points is None else num_points
        self.image_size = image_size
        self.clouds = dict(clouds)
        self.augment = augment
        self.view_size = self.find_view_size() if with_images and not augment else None
        if with_images and self.backgrounds is not None:
            self._require_transparency()
        self._on_read: Callable[[int], None] = _ignore

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """Name the shape itself, <category>/<id>; a shape of shards by its sample."""

    @abstractmethod
    def files(self, index: int) -> str:
        """Name the places of the cloud and the views of an item, for messages."""

    @abstractmethod
    def cloud_name(self, index: int) -> str:
        """Name the place of its cloud, for messages."""

    @abstractmethod
    def view_file(self, index: int, view: int) -> str:
        """Name the place of one of its views, for messages."""

    @abstractmethod
    def num_views(self, index: int) -> int:
        """Return the number of its views."""

    @abstractmethod
    def read_points(self, index: int) -> np.ndarray:
        """Read its whole cloud, (N, 3) float32."""

    @abstractmethod
    def read_stored(self, index: int, view: int) -> np.ndarray:
        """Read one view, (H, W, 4) uint8, or (H, W, 3) where no pixel may be transparent."""

    @abstractmethod
    def read_pixel_pairs(self, index: int) -> PixelPairs:
        """Read which points of its whole cloud are seen where in its views, all of them and in their order.

        Raises:
            FileNotFoundError, ValueError: it has no such pairs, or they are damaged; named, with what makes them.
        """

    @abstractmethod
    def find_view_size(self) -> tuple[int, int] | None:
        """Return the common (H, W) of all views, or None where they are known to differ."""

    def read_pixels(self, index: int, view: int) -> Tensor:
        """Read one view, laid on the background, (3, H, W) uint8."""
        return torch.from_numpy(on_background(self.read_stored(index, view), self.background))

    def draw_pixels(self, index: int, view: int, rng: np.random.Generator) -> Tensor:
        """Read one view as a training sees it: as `read_pixels`, or on a background drawn from `rng`."""
        if self.backgrounds is None:
            return self.read_pixels(index, view)

        def draw_other(rng: np.random.Generator) -> np.ndarray:
            other = (index + 1 + int(rng.integers(max(1, len(self) - 1)))) % len(self)
            return self.read_stored(other, int(rng.integers(self.num_views(other))))

        return torch.from_numpy(self.backgrounds.compose(self.read_stored(index, view), rng, draw_other))

    def stamp(self, index: int, num_views: int) -> str:
        """Tell whether the cloud or the first views of an item have changed: equal stamps mean equal files."""
        names = [self.cloud_name(index), *(self.view_file(index, view) for view in range(num_views))]
        states = [(os.path.basename(name), os.stat(name)) for name in names]
        return "".join(f"{name} {state.st_size} {state.st_mtime_ns}\n" for name, state in states)

    def watch(self, on_read: Callable[[int], None]) -> None:
        """Call a function with the index of each item before its files are read."""
        self._on_read = on_read

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Return the items of a batch, for a DataLoader; each step runs over all of them, which keeps caches warm."""
        for index in indices:
            if not 0 <= index < len(self):
                raise IndexError(f"no item {index}: the data set holds {len(self)}")
        rngs = [self.item_rng(index) for index in indices]
        groups = [self._draw_group(index, rng) for index, rng in zip(indices, rngs)]
        pixels = [self._draw_views(group, rng) for group, rng in zip(groups, rngs)] if self.with_images else []
        whole = [self._read_group(group, rng) for group, rng in zip(groups, rngs)]
        items: list[Item] = [
            {key: self._make_cloud(points, augment, rng, index) for key, augment in self.clouds.items()}
            | {"index": index}
            for index, points, rng in zip(indices, whole, rngs)
        ]
        if self.augment:
            resized = [[resize_square(view[None], self.image_size)[0] for view in views] for views in pixels]
            pixels = [[vary_image(view, draw_image(rng)) for view in views] for views, rng in zip(resized, rngs)]
        for item, views in zip(items, pixels):
            item["image"] = views[0] if self.views == 1 else torch.stack(views)
        return items

    def _make_cloud(self, points: np.ndarray, augment: PointAugment, rng: np.random.Generator, index: int) -> Tensor:
        with self._naming(index):
            subset = augment.select(points, rng, self.num_points)
            if self.augment:
                return torch.from_numpy(augment(subset, rng))
            if (subset == subset[0]).all():
                unit_sphere(subset)  # raises the error that augmentation would
            return torch.from_numpy(subset)

    @contextmanager
    def _naming(self, index: int) -> Iterator[None]:
        """Name the cloud that is at fault in errors."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.cloud_name(index)}: {error}; make it again or delete it") from error

    def _require_views(self) -> None:
        fewest = min(range(len(self)), key=self.num_views)
        if self.num_views(fewest) < self.views:
            raise ValueError(
                f"{self.files(fewest)}: {self.num_views(fewest)} views, --cmid_views {self.views} are asked for; pass "
                "fewer, or render more"
            )

    def _require_transparency(self) -> None:
        if self.read_stored(0, 0).shape[2] == 3:
            raise ValueError(
                f"{self.view_file(0, 0)} is opaque, so that no background would show; leave --background random out, "
                "or render the shapes (python -m data.render_views)"
            )

    def _draw_group(self, index: int, rng: np.random.Generator) -> list[int]:
        """Return the shapes of an item, its own first."""
        return [index, *(draw_others(index, len(self), self.compose, rng) if self.compose else [])]

    def _draw_views(self, group: list[int], rng: np.random.Generator) -> list[Tensor]:
        views = [self._draw_own_views(index, rng) for index in group]
        return [view[0] if len(view) == 1 else compose_views(view, self.background) for view in zip(*views)]

    def _draw_own_views(self, index: int, rng: np.random.Generator) -> list[Tensor]:
        self._on_read(index)
        count = self.num_views(index)
        drawn = [rng.integers(count)] if self.views == 1 else rng.choice(count, self.views, replace=False)
        return [self._read_view(index, int(view), rng) for view in drawn]

    def _read_view(self, index: int, view: int, rng: np.random.Generator) -> Tensor:
        pixels = self.draw_pixels(index, view, rng)
        if self.augment:
            return pixels
        if self.view_size is None:
            return resize_square(pixels[None], self.image_size)[0]
        if pixels.shape[1:] != self.view_size:
            raise ValueError(
                f"{self.view_file(index, view)} has {pixels.shape[2]} x {pixels.shape[1]} pixels, the first of all has "
                f"{self.view_size[1]} x {self.view_size[0]}; pack all (python -m data.pack ROOT) and pass --packed"
            )
        return pixels

    def _read_group(self, group: list[int], rng: np.random.Generator) -> np.ndarray:
        clouds = [self._read_cloud(index) for index in group]
        if len(group) == 1:
            return clouds[0]
        for number, index in enumerate(group):
            with self._naming(index):
                clouds[number] = unit_sphere(clouds[number])
        return compose_clouds(clouds, rng)

    def _read_cloud(self, index: int) -> np.ndarray:
        self._on_read(index)
        points = self.read_points(index)
        if len(points) < self.num_points:
            raise ValueError(
                f"{self.cloud_name(index)} holds {len(points)} points, {self.num_points} are needed; "
                f"pass --num_points {len(points)} or less, or make it again with more points"
            )
        return points


def _ignore(index: int) -> None:
    """Take no notice: nobody watches the reads."""
