"""What pre-training pairs are, wherever they are read from: each cloud augmented twice, with one of its renderings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.shapes.views import Colour, background_colour
from datasets.transforms.image_transforms import draw_image, resize_square, vary_image
from datasets.transforms.point_transforms import PUBLISHED_AUGMENT, PointAugment, random_subset, unit_sphere

Item = dict[str, Tensor | int]


class RenderPairs(Dataset, ABC):
    """Items are dicts of aug_a (N, 3), aug_b (N, 3), image (3, S, S), all float32, and index.

    Every random choice of an item (view, subset, augmentations) comes from a generator seeded with
    (seed, epoch, index), so an item does not depend on the number of workers, on the order of access or on the kind of
    storage.

    With `augment=False` the clouds are the two subsets as they are stored and the image is uint8, (3, H, W), in the
    size of its view: what `BatchAugment` takes. All views of a batch must then have one size, `view_size`;
    where a sub-class knows that its views differ, it sets None, and each is resized to S × S here.
    """

    def __init__(
        self,
        *,
        num_points: int | None = None,
        image_size: int = 224,
        background: Colour = "black",
        point_augment: PointAugment = PUBLISHED_AUGMENT,
        with_images: bool = True,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        """
        Args:
            num_points: points an augmentation, a random subset drawn for each; None takes as many as the first
                cloud holds.
            image_size: side of the square images, pixels.
            background: black, white or (r, g, b) under transparent pixels.
            point_augment: makes each of the two augmented clouds; the default is the published one.
            with_images: False leaves "image" out of the items and needs no pictures, for training on clouds alone.
            augment: False leaves augmentation to the device, see the class.
            seed: base of every item's generator, >= 0.
        Raises:
            ValueError: a bad argument.
        """
        for name, value in (("num_points", num_points), ("image_size", image_size)):
            if value is not None and value < 2:
                raise ValueError(f"{name} must be at least 2, got {value}")
        self.with_images = with_images
        self.background = background_colour(background)
        self.num_points = len(self.read_points(0)) if num_points is None else num_points
        self.image_size = image_size
        self.point_augment = point_augment
        self.augment = augment
        self.seed = seed
        self.view_size = self.find_view_size() if with_images and not augment else None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # seen by workers already running
        self._on_read: Callable[[int], None] = _ignore

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def files(self, index: int) -> str:
        """Where the cloud and the views of one item lie, for messages."""

    @abstractmethod
    def cloud_name(self, index: int) -> str:
        """Where its cloud lies, for messages."""

    @abstractmethod
    def view_file(self, index: int, view: int) -> str:
        """Where one of its views lies, for messages."""

    @abstractmethod
    def num_views(self, index: int) -> int:
        """Number of its views."""

    @abstractmethod
    def read_points(self, index: int) -> np.ndarray:
        """(N, 3) float32."""

    @abstractmethod
    def read_pixels(self, index: int, view: int) -> Tensor:
        """One view on the background, (3, H, W) uint8."""

    @abstractmethod
    def find_view_size(self) -> tuple[int, int] | None:
        """(H, W) of all views, None where they are known to differ."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the draws of this epoch (0, 1, ...); call it before iterating, persistent workers see it too."""
        self._epoch.fill_(epoch)

    def watch(self, on_read: Callable[[int], None]) -> None:
        """Have a function called with the number of each item before its files are read."""
        self._on_read = on_read

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Several items, as a DataLoader asks for the batch: each step for all of them, which keeps caches warm."""
        for index in indices:
            if not 0 <= index < len(self):
                raise IndexError(f"no item {index}: the data set holds {len(self)}")
        rngs = [np.random.default_rng((self.seed, int(self._epoch), index)) for index in indices]
        pixels = [self._draw_view(index, rng) for index, rng in zip(indices, rngs)] if self.with_images else []
        clouds = [self._read_cloud(index) for index in indices]
        items: list[Item] = [
            {"aug_a": self._cloud(points, rng, index), "aug_b": self._cloud(points, rng, index), "index": index}
            for index, points, rng in zip(indices, clouds, rngs)
        ]
        if self.augment:
            resized = [resize_square(view[None], self.image_size)[0] for view in pixels]
            pixels = [vary_image(view, draw_image(rng)) for view, rng in zip(resized, rngs)]
        for item, image in zip(items, pixels):
            item["image"] = image
        return items

    def _cloud(self, points: np.ndarray, rng: np.random.Generator, index: int) -> Tensor:
        subset = random_subset(points, rng, self.num_points)
        try:
            if self.augment:
                return torch.from_numpy(self.point_augment(subset, rng))
            if (subset == subset[0]).all():
                unit_sphere(subset)  # says what is wrong with it
            return torch.from_numpy(subset)
        except ValueError as error:
            raise ValueError(f"{self.cloud_name(index)}: {error}; make it again or delete it") from error

    def _draw_view(self, index: int, rng: np.random.Generator) -> Tensor:
        self._on_read(index)
        view = int(rng.integers(self.num_views(index)))
        pixels = self.read_pixels(index, view)
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
    """Nobody asks what is read."""
