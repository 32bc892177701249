"""Labelled shapes for classification by names: the labelled sets of clouds, or any folder of shapes and their views."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.labelled.scanobjectnn import VARIANTS
from datasets.shapes.shape_folder import ShapeFile, list_shape_files, read_shape
from datasets.shapes.views import load_view
from datasets.texts.class_texts import class_text, class_texts, listed_classes
from datasets.transforms.image_transforms import plain_image, to_pixels
from datasets.transforms.point_transforms import random_subset, unit_sphere
from utils.evaluation.labelled_set import DATASETS, LabelledSetSettings, describe_clouds, load_split
from utils.settings import Settings, flag

SHAPES = "shapes"


@dataclass(frozen=True)
class ZeroShotSetSettings(Settings):
    """Which labelled shapes are read, and how."""

    dataset: str = flag("modelnet40", f"{SHAPES}: any folder of shapes by class", choices=(*DATASETS, SHAPES))
    variant: str | None = flag(None, "of scanobjectnn (default: obj_bg)", choices=VARIANTS)
    data_root: str = flag(
        "data", "folder of the data (default: the environment variable CROSSPOINT_DATA, else data)", is_free=True
    )
    split: str = flag("test", "of a labelled set; a folder of shapes has none", choices=("train", "test"))
    num_points: int = flag(1024, "of each cloud: the first so many; of a file in a folder a random subset", at_least=1)
    background: str = flag("black", "behind transparent views, as in the alignment", choices=("black", "white"))
    classes: str = flag("", "names separated by commas to choose from (default: those of the set)")
    seed: int = flag(0, "of the single view of each shape, of subsets, and of untrained weights")

    def class_names(self, found: Sequence[str]) -> list[str]:
        """Return the classes to choose from in words: those of --classes, else those found.

        Raises:
            ValueError: --classes lacks one that was found.
        """
        given = listed_classes(self.classes)
        words = class_texts(found)
        if given and (missing := [name for name in words if name not in given]):
            raise ValueError(
                f"--classes {self.classes} lacks {', '.join(missing)}, of which there are shapes; add them"
            )
        return given or words


class NamelessShapes(ABC):
    """Shapes without labels; clouds are centred and scaled to radius 1, as in the alignment.

    Attributes:
        num_views: (M,) of each shape, 0 for sets without pictures.
    """

    num_views: np.ndarray

    def __len__(self) -> int:
        return len(self.num_views)

    @abstractmethod
    def cloud(self, index: int) -> Tensor:
        """Read a cloud, (N, 3) float32."""

    @abstractmethod
    def view(self, index: int, view: int, size: int) -> Tensor:
        """Read a view without augmentation, (3, size, size) float32."""


class ZeroShotSet(NamelessShapes):
    """The same with labels.

    Attributes:
        class_names: Y names in words.
        labels: (M,) int64 in [0, Y).
        split: test or train; "all" of a folder.
        constants: what records say of the data (JSON values).
    """

    class_names: list[str]
    labels: np.ndarray
    split: str
    constants: dict[str, Any]

    def choose_from(self, names: Sequence[str]) -> None:
        """Take more classes to choose from, among which are those that there are."""
        places = np.array([names.index(name) for name in self.class_names])
        self.class_names, self.labels = list(names), places[self.labels]


class _LabelledSet(ZeroShotSet):
    """The clouds of a labelled set."""

    def __init__(self, settings: ZeroShotSetSettings):
        own = LabelledSetSettings(
            dataset=settings.dataset,
            variant=settings.variant,
            data_root=settings.data_root,
            num_points=settings.num_points,
            normalize=True,
        )
        clouds = load_split(own, settings.split)
        self.points = clouds.points
        self.class_names = settings.class_names(clouds.class_names)
        places = np.array([self.class_names.index(class_text(name)) for name in clouds.class_names])
        self.labels = places[clouds.labels.numpy()]
        self.num_views = np.zeros(len(self.labels), dtype=np.int64)
        self.split = settings.split
        self.constants = describe_clouds(own, clouds)

    def cloud(self, index: int) -> Tensor:
        return self.points[index]

    def view(self, index: int, view: int, size: int) -> Tensor:
        raise IndexError(f"cloud {index} has no view {view}: it is of a set without pictures")


class FolderShapes(NamelessShapes):
    """Clouds, meshes and views in files.

    Args:
        shapes: their files.
        num_points: N of each cloud, a random subset.
        background: behind transparent views, black or white.
        seed: of samples and subsets, >= 0.
    """

    def __init__(self, shapes: Sequence[ShapeFile], num_points: int, background: str, seed: int):
        self.shapes, self.num_points, self.background, self.seed = list(shapes), num_points, background, seed
        self.num_views = np.array([len(shape.views) for shape in self.shapes])

    def cloud(self, index: int) -> Tensor:
        shape, wanted = self.shapes[index], self.num_points
        points = read_shape(shape.path, seed=self.seed)
        if len(points) < wanted:
            raise ValueError(f"{shape.path} holds {len(points)} points; pass --num_points {len(points)} or less")
        rng = np.random.default_rng((self.seed, index))
        try:
            return torch.from_numpy(unit_sphere(random_subset(points, rng, wanted)))
        except ValueError as error:
            raise ValueError(f"{shape.path}: {error}") from error

    def view(self, index: int, view: int, size: int) -> Tensor:
        return plain_image(to_pixels(load_view(self.shapes[index].views[view], self.background)), size)


class _ShapeFolder(FolderShapes, ZeroShotSet):
    """A pre-training tree with its views, or clouds and meshes in a folder for each class."""

    def __init__(self, settings: ZeroShotSetSettings):
        shapes = list_shape_files(settings.data_root)
        super().__init__(shapes, settings.num_points, settings.background, settings.seed)
        bare = [shape.name for shape in self.shapes if not shape.category]
        if bare:
            raise ValueError(
                f"{settings.data_root}: {len(bare)} shapes are in no folder of a class, the first {bare[0]}; expected "
                "<class>/<file>"
            )
        found = sorted({shape.category for shape in self.shapes})
        self.class_names = settings.class_names(found)
        self.labels = np.array([self.class_names.index(class_text(shape.category)) for shape in self.shapes])
        self.split = "all"
        self.constants = {
            "variant": None,
            "num_points": settings.num_points,
            "normalize": True,
            "data": str(Path(settings.data_root)),
        }


def open_zero_shot_set(settings: ZeroShotSetSettings) -> ZeroShotSet:
    """Open the shapes that the settings name.

    Raises:
        OSError: no such data.
        ValueError: damaged data, shapes without a class, or --classes that lacks one of theirs.
    """
    if settings.dataset != SHAPES:
        return _LabelledSet(settings)
    if settings.variant is not None:
        raise ValueError(f"--variant {settings.variant} belongs to --dataset scanobjectnn, not to {SHAPES}")
    if settings.split != "test":
        raise ValueError(f"--split {settings.split}: a folder of {SHAPES} has no splits; name the one by --data_root")
    return _ShapeFolder(settings)
