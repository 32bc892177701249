"""Batches of pre-training pairs, clouds with renderings of them: from trees, a packed file or shards."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from datasets.pairs.modelnet_views import CLASSES as MODELNET_CLASSES
from datasets.pairs.modelnet_views import ModelNetViews
from datasets.pairs.packed_render import PackedRender
from datasets.pairs.render_pairs import RenderPairs
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.pairs.tolerant_pairs import TolerantPairs
from datasets.shards.shard_pairs import ShardPairs
from datasets.transforms.batch_augment import BatchAugment
from datasets.transforms.point_transforms import ROTATIONS, PointAugment, augmented_pair
from datasets.transforms.random_backgrounds import RANDOM, RandomBackgrounds
from models.distributed import get_rank, get_world_size
from utils.settings import Settings, flag
from utils.training.bad_samples import BadSampleSettings
from utils.training.epoch_loader import EpochLoader
from utils.training.shard_loader import ShardLoader, ShardSettings


@dataclass(frozen=True)
class SourceSettings(Settings):
    """Where shapes and their views are read, and how many at once."""

    data_root: str = flag(
        "data", "folder of the data sets (default: the environment variable CROSSPOINT_DATA, else data)", is_free=True
    )
    packed: str | None = flag(None, "one file by data.pack, read in place of the trees in --data_root", is_free=True)
    num_workers: int = flag(2, "loader processes; 0 loads in this one", at_least=0, is_free=True)
    batch_size: int = flag(16, "shapes per step", at_least=2)
    image_size: int = flag(224, "pixels, square", at_least=2, at_most=4096)
    background: str = flag(
        "black", "behind transparent renders; random: another for each view", choices=("black", "white", RANDOM)
    )
    object_min: float = flag(
        1.0,
        "with --background random, views are shrunk to this share or more and stand anywhere; 1: as rendered",
        above=0,
        at_most=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packed == "":
            raise ValueError("--packed is empty; name a file that data.pack wrote, or leave the flag out")
        if self.object_min < 1 and self.background != RANDOM:
            raise ValueError(
                f"--object_min {self.object_min:g} belongs to --background {RANDOM}, not to {self.background}"
            )

    @property
    def behind_views(self) -> str | RandomBackgrounds:
        """What a training that reads views in every epoch sees behind them."""
        return RandomBackgrounds(self.object_min) if self.background == RANDOM else self.background

    def one_background(self, user: str) -> str:
        """Return what is behind the views of `user`, which sees each view once, before the training.

        Raises:
            ValueError: backgrounds are random.
        """
        if self.background == RANDOM:
            raise ValueError(
                f"--background {RANDOM}: {user} sees each view once, before the training; pass black or white"
            )
        return self.background

    def refuse_unseen(self, cause: str) -> None:
        """Refuse random backgrounds where no view is read, because of the flag `cause`.

        Raises:
            ValueError: backgrounds are random.
        """
        if self.background == RANDOM:
            raise ValueError(f"--background {RANDOM} belongs to views, of which {cause} reads none: leave one out")


@dataclass(frozen=True)
class PairSettings(SourceSettings):
    """The same, and the size of clouds."""

    num_points: int = flag(2048, "of a cloud; of more a random subset, in multi-view training the first", at_least=2)


@dataclass(frozen=True)
class AugmentSettings(Settings):
    """Augmentation of the clouds; the defaults are the published ones."""

    augment: str = flag(
        "loader", "item by item while loading, or batch by batch on the device", choices=("loader", "device")
    )
    rotation: str = flag("y", "so3 for shapes whose up axes differ", choices=ROTATIONS)
    max_scale: float = flag(2.0, "scaled by a factor from 1 / this to this")
    translation: float = flag(0.5, "shifted by up to this share of the extent")
    max_dropout: float = flag(0.875, "up to this share of points is dropped")
    crop_min: float = flag(
        1.0,
        "a cloud is made of this share or more of the stored points, those nearest to one of them; 1: of all",
        above=0,
        at_most=1,
    )

    @property
    def cloud(self) -> PointAugment:
        """What makes a cloud of an item of the stored one."""
        chain = (self.rotation, self.max_scale, self.translation, self.max_dropout)
        return PointAugment(*chain, crop_min=self.crop_min)

    @property
    def clouds(self) -> dict[str, PointAugment]:
        """The clouds of an item, aug_a and aug_b, and what makes each."""
        return augmented_pair(self.cloud)


@dataclass(frozen=True)
class LocalSettings(Settings):
    """Small local clouds of a shape beside its two others, for a multi-crop loss; published: none."""

    local_clouds: int = flag(0, "small crops of a shape that should agree with the mean of its two clouds", at_least=0)
    local_points: int = flag(256, "of a local cloud", at_least=2)
    local_min: float = flag(0.1, "a local cloud is made of this share or more of the stored one", above=0, at_most=1)
    local_max: float = flag(0.4, "and of this share or less", above=0, at_most=1)
    local_weight: float = flag(1.0, "of their term of the loss", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.local_min > self.local_max:
            raise ValueError(f"--local_min {self.local_min} must be at most --local_max {self.local_max}")

    def clouds(self, cloud: PointAugment) -> dict[str, PointAugment]:
        """Name the local clouds, local_0 and so on, and what makes each: augmented as `cloud` is."""
        local = replace(cloud, crop_min=self.local_min, crop_max=self.local_max, num_points=self.local_points)
        return {f"local_{number}": local for number in range(self.local_clouds)}


def open_source(settings: SourceSettings, **options: Any) -> RenderPairs:
    """Open the shapes of a packed file, else of the data root: trees, or the published layout of multi-view training.

    Args:
        options: of RenderPairs.
    Raises:
        OSError: no such data.
        ValueError: damaged data.
    """
    if settings.packed:
        return PackedRender(settings.packed, **options)
    is_published = (Path(settings.data_root) / MODELNET_CLASSES).is_file()
    return (ModelNetViews if is_published else ShapeNetRender)(settings.data_root, **options)


def build_epoch_loader(
    dataset: Dataset, settings: SourceSettings, bad_samples: BadSampleSettings, **place: Any
) -> EpochLoader:
    """Load the batches of a data set, in which unreadable items are replaced where that is asked for.

    Args:
        place: seed and pin_memory, see EpochLoader.
    """
    return EpochLoader(
        TolerantPairs(dataset) if bad_samples.skips else dataset,
        settings.batch_size,
        num_workers=settings.num_workers,
        rank=get_rank(),
        world_size=get_world_size(),
        **place,
    )


def build_loader(
    pairs: PairSettings,
    augment: AugmentSettings,
    shards: ShardSettings,
    bad_samples: BadSampleSettings,
    *,
    seed: int,
    with_images: bool,
    views: int = 1,
    compose: float = 0.0,
    clouds: Mapping[str, PointAugment],
    pin_memory: bool,
) -> EpochLoader | ShardLoader:
    """Open the pairs that the settings name: shards, else a packed file, else the trees below the data root.

    Args:
        with_images: False leaves images out, and needs none.
        views: images of an item, different views of its shape.
        compose: probability that an item is of several shapes, see RenderPairs.
        clouds: of an item, see RenderPairs.
        pin_memory: for transfers to a GPU.
    Raises:
        OSError: no such data.
        ValueError: damaged data, or settings that do not go together.
    """
    options: dict[str, Any] = {
        "num_points": pairs.num_points,
        "image_size": pairs.image_size,
        "background": pairs.behind_views,
        "clouds": clouds,
        "augment": augment.augment == "loader",
        "with_images": with_images,
        "views": views,
        "compose": compose,
        "seed": seed,
    }
    place = {"seed": seed, "pin_memory": pin_memory}
    if shards.shards is not None:
        if pairs.packed:
            raise ValueError("--shards and --packed both name data to train on; pass one")
        if not shards.shards:
            raise ValueError("--shards is empty; name a folder that data.shard wrote or its URL, or leave the flag out")
        _require_single_shapes(pairs, views, compose)
        return ShardLoader(
            ShardPairs(shards.shards, **options),
            pairs.batch_size,
            streams=shards.streams,
            shuffle_buffer=shards.shuffle_buffer,
            skips_bad=bad_samples.skips,
            num_workers=pairs.num_workers,
            rank=get_rank(),
            world_size=get_world_size(),
            **place,
        )
    return build_epoch_loader(open_source(pairs, **options), pairs, bad_samples, **place)


def _require_single_shapes(pairs: PairSettings, views: int, compose: float) -> None:
    """Refuse what needs more than shards give at a time: one shape with one of its views."""
    wrong = ""
    if views > 1:
        wrong = f"--cmid_views {views}: --shards hold one view of each shape a pass"
    elif compose:
        wrong = f"--compose {compose:g}: --shards are read in their order, other shapes are not at hand"
    elif pairs.background == RANDOM:
        wrong = f"--background {RANDOM} shows views of other shapes too, which --shards do not give"
    if wrong:
        raise ValueError(f"{wrong}; pass --packed FILE, or --data_root")


def build_transform(
    pairs: PairSettings, augment: AugmentSettings, clouds: Mapping[str, PointAugment], seed: int
) -> BatchAugment | None:
    """Return the augmentation of whole batches on the device; None where the loader augments."""
    if augment.augment == "loader":
        return None
    return BatchAugment(clouds, pairs.image_size, seed, get_rank(), get_world_size())
