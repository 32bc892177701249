"""Pre-training pairs of CrossPoint: each cloud augmented twice, with one of its renderings."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from datasets.image_transforms import published_image_augment
from datasets.layouts import CLOUDS, RENDERS
from datasets.ply import read_points
from datasets.point_transforms import PUBLISHED_AUGMENT, PointAugment, random_subset
from datasets.shape_files import FIX, Shape, list_shapes
from datasets.views import Colour, background_colour, load_view


class ShapeNetRender(Dataset):
    """Items are dicts of aug_a (N, 3), aug_b (N, 3), image (3, S, S), all float32, and index.

    Every random choice of an item (view, subset, augmentations) comes from a generator seeded with
    (seed, epoch, index), so an item does not depend on the number of workers or on the order of access.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        num_points: int | None = None,
        image_size: int = 224,
        background: Colour = "black",
        point_augment: PointAugment = PUBLISHED_AUGMENT,
        with_images: bool = True,
        seed: int = 0,
        limit: int | None = None,
        expected_shapes: int | None = None,
    ) -> None:
        """
        Args:
            root: the folder that holds ShapeNet/ and ShapeNetRendering/.
            num_points: points an augmentation, a random subset drawn for each; None takes as many as the first
                cloud holds.
            image_size: side of the square images, pixels.
            background: black, white or (r, g, b) under transparent pixels.
            point_augment: makes each of the two augmented clouds; the default is the published one.
            with_images: False leaves "image" out of the items and needs no pictures, for training on clouds alone.
            seed: base of every item's generator, >= 0.
            limit: keep the first so many shapes; None keeps all.
            expected_shapes: total number of clouds that must be there, over all synset folders; None takes any.
        Raises:
            FileNotFoundError: no clouds or no renders below root.
            ValueError: clouds without renders, another number of clouds than expected, or a bad argument.
        """
        self.root = Path(root)
        self.shapes = list_shapes(self.root, with_views=with_images)
        if expected_shapes is not None and len(self.shapes) != expected_shapes:
            raise ValueError(f"{self.root} holds {len(self.shapes)} clouds, expected {expected_shapes}; run: {FIX}")
        for name, value in (("limit", limit), ("num_points", num_points), ("image_size", image_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.shapes = self.shapes[:limit]
        self.with_images = with_images
        if with_images:
            _require_views(self.shapes, self.root)
        if num_points is None:
            num_points = len(read_points(self.shapes[0].cloud_path(self.root)))
        self.num_points = num_points
        self.image_size = image_size
        self.background = background_colour(background)
        self.point_augment = point_augment
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # seen by workers already running

    def set_epoch(self, epoch: int) -> None:
        """Choose the draws of this epoch (0, 1, ...); call it before iterating, persistent workers see it too."""
        self._epoch.fill_(epoch)

    def files(self, index: int) -> str:
        """The cloud and the folder of views of one item, for messages."""
        shape = self.shapes[index]
        return f"{shape.cloud_path(self.root)} and {shape.view_folder(self.root)}"

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> dict[str, Tensor | int]:
        shape = self.shapes[index]
        rng = np.random.default_rng((self.seed, int(self._epoch), index))
        image = self._draw_view(shape, rng) if self.with_images else None
        points = self._read_cloud(shape)
        item = {"aug_a": self._augment(points, rng, shape), "aug_b": self._augment(points, rng, shape), "index": index}
        if image is not None:
            item["image"] = published_image_augment(image, rng, self.image_size)
        return item

    def _draw_view(self, shape: Shape, rng: np.random.Generator) -> Image.Image:
        view = shape.views[rng.integers(len(shape.views))]
        return load_view(shape.view_folder(self.root) / view, self.background)

    def _augment(self, points: np.ndarray, rng: np.random.Generator, shape: Shape) -> Tensor:
        subset = random_subset(points, rng, self.num_points)
        try:
            return torch.from_numpy(self.point_augment(subset, rng))
        except ValueError as error:
            raise ValueError(f"{shape.cloud_path(self.root)}: {error}; make it again or delete it") from error

    def _read_cloud(self, shape: Shape) -> np.ndarray:
        path = shape.cloud_path(self.root)
        points = read_points(path)
        if len(points) < self.num_points:
            raise ValueError(
                f"{path} holds {len(points)} points, {self.num_points} are needed; "
                f"pass --num_points {len(points)} or less, or make it again with more points"
            )
        return points


def _require_views(shapes: list[Shape], root: Path) -> None:
    bare = [str(shape) for shape in shapes if not shape.views]
    if bare:
        first = ", ".join(bare[:5]) + (", ..." if len(bare) > 5 else "")
        raise ValueError(
            f"{len(bare)} of {len(shapes)} clouds in {root / CLOUDS} have no picture {RENDERS}/<synset>/<id>/rendering/"
            f"*.png: {first}; make them: python -m data.render_views MESH_DIR --out {root}, or delete these clouds"
        )
