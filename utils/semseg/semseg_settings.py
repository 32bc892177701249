"""Settings of a semantic segmentation of rooms, with the published constants of each data set as defaults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from datasets.scenes.room_blocks import BlockForm
from datasets.scenes.room_sets import ROOM_CLASSES
from models.encoders.scenes.block_networks import BLOCK_NETWORKS
from models.encoders.scenes.sr_unet import PLANS
from models.methods.semantic_segmentation import PROBES
from models.weights.sr_unet_file import ORDERS
from utils.settings import Settings, flag
from utils.training.engine import AMP_DTYPES
from utils.training.loop import LoopSettings

ALL_AREAS = 0  # as --test_area
_PUBLISHED_AREA = 5
MIN_EPOCH_STEPS = 100  # each epoch writes a state
NORM_MOMENTUM, POLY_POWER, DAMPENING = 0.02, 0.9, 0.1


@dataclass(frozen=True, kw_only=True)
class RoomRecipe:
    """Published constants that depend on the data set, each under the name of the flag that overrides it."""

    voxel: float
    batch_size: int
    lr: float
    colour_shift: float
    colour_jitter: float


# Trainings of SR-UNet in PointContrast's code (Xie et al. 2020, arXiv:2007.10985); ScanNet's batch is 12 on 4 GPUs.
ROOM_RECIPES = {
    "s3dis": RoomRecipe(voxel=0.05, batch_size=18, lr=0.1, colour_shift=0.05, colour_jitter=0.005),
    "scannet": RoomRecipe(voxel=0.02, batch_size=48, lr=0.8, colour_shift=0.1, colour_jitter=0.05),
}
# The same for both; a record with other values says so.
ROOM_CONSTANTS = {
    **{"steps": 20000, "momentum": 0.9, "weight_decay": 1e-4},
    **{"augment": True, "crop": 0.0, "amp": "none"},
}


@dataclass(frozen=True, kw_only=True)
class BlockRecipe:
    """Published constants of a network that sees blocks of points; None: it has no such flag."""

    batch_size: int
    lr: float
    dropout: float
    momentum: float | None = None
    k: int | None = None


# As in the code of DGCNN (An Tao's) and of selfsup_pcd; the dropout of PointNet is that of its authors' code.
BLOCK_RECIPES = {
    "dgcnn": BlockRecipe(batch_size=32, lr=0.1, dropout=0.5, momentum=0.9, k=20),
    "pointnet": BlockRecipe(batch_size=24, lr=0.001, dropout=0.3),
}
BLOCK_EPOCHS = 100  # over all places of the grid, where --steps says nothing else
BLOCK_CONSTANTS = {
    **{"steps": None, "weight_decay": 1e-4, "amp": "none"},
    **{"num_points": BlockForm().num_points, "block_size": BlockForm().size, "block_stride": BlockForm().stride},
}


def published(model: str, dataset: str) -> Mapping[str, Any]:
    """Return the published values of the flags that a network takes, by name.

    Args:
        model: sr_unet, or a key of BLOCK_RECIPES.
    """
    if model not in BLOCK_RECIPES:
        return {**vars(ROOM_RECIPES[dataset]), **ROOM_CONSTANTS}
    recipe = {name: value for name, value in vars(BLOCK_RECIPES[model]).items() if value is not None}
    return {**recipe, **BLOCK_CONSTANTS}


@dataclass(frozen=True)
class RoomSetSettings(Settings):
    """The rooms, and how many of their labels are seen."""

    data_root: str = flag("data", "folder with Area_<k>/, or with scans/ and scannetv2_{train,val}.txt", is_free=True)
    dataset: str = flag("s3dis", "layout and classes", choices=tuple(ROOM_CLASSES))
    test_area: int = flag(
        _PUBLISHED_AREA,
        "of S3DIS: tested on, all others are trained on; all: a training for each, scored together",
        at_least=0,
    )
    label_fraction: float = flag(
        1.0, "share of the training rooms that is used, at least one, drawn by --seed", above=0, at_most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset != "s3dis" and self.test_area not in (_PUBLISHED_AREA, ALL_AREAS):
            raise ValueError(f"--test_area {self.test_area} is for s3dis; {self.dataset} has no areas: leave it out")


@dataclass(frozen=True)
class SemsegSettings(LoopSettings):
    """Network, length, optimiser and augmentation; what is None takes the published value of network and data set."""

    model: str = flag(
        "sr_unet", "sr_unet sees rooms as voxels, the others blocks of points", choices=("sr_unet", *BLOCK_NETWORKS)
    )
    probe: str = flag(
        "none", "of sr_unet: train the last layer alone, on standardised features, or all behind the coarsest",
        choices=PROBES,
    )  # fmt: skip
    steps: int | None = flag(
        None, "length, rounded up to whole epochs (sr_unet 20000; blocks: --epochs over all of them)", at_least=1
    )
    epochs: int | None = flag(
        None, "parts of --steps, a state after each (default: of 100 steps or more); of blocks without --steps: 100",
        at_least=1,
    )  # fmt: skip
    batch_size: int | None = flag(
        None, "rooms or blocks per step (s3dis 18, scannet 48; dgcnn 32, pointnet 24)", at_least=1
    )
    lr: float | None = flag(
        None, "of the first step (SGD: s3dis 0.1, scannet 0.8, dgcnn 0.1; Adam: pointnet 0.001)", above=0
    )
    momentum: float | None = flag(None, "of SGD (0.9); pointnet has Adam", at_least=0, below=1)
    weight_decay: float = flag(1e-4, "of the optimiser", at_least=0)
    plan: str | None = flag(None, "size of SR-UNet (34C); of --model_path it must be the file's", choices=tuple(PLANS))
    kernel_order: str | None = flag(
        None, "order of kernels in an SR-UNet of --model_path: cube for our files, hybrid for PointContrast's",
        choices=ORDERS,
    )  # fmt: skip
    voxel: float | None = flag(None, "of sr_unet: edge of a voxel in metres (s3dis 0.05, scannet 0.02)", above=0)
    crop: float | None = flag(
        None, "of sr_unet: train on squares of this edge in metres; 0: whole rooms (0)", at_least=0
    )
    colour_shift: float | None = flag(
        None, "of sr_unet: largest shift of a colour (s3dis 0.05, scannet 0.1)", at_least=0
    )
    colour_jitter: float | None = flag(None, "of sr_unet: noise of colours (s3dis 0.005, scannet 0.05)", at_least=0)
    augment: bool | None = flag(None, "of sr_unet: mirror, turn about z and scale rooms, and change their colours (on)")
    num_points: int | None = flag(None, "points drawn of a block (4096)", at_least=1)
    block_size: float | None = flag(None, "edge of a block in metres, seen from above (1)", above=0)
    block_stride: float | None = flag(None, "step of the scored grid in metres, at most --block_size (1)", above=0)
    k: int | None = flag(None, "neighbours per point in the graphs of dgcnn (20)", at_least=1)
    dropout: float | None = flag(None, "before the last layer (dgcnn 0.5, pointnet 0.3)", at_least=0, below=1)
    amp: str = flag("none", "precision of the network", choices=tuple(AMP_DTYPES))
    num_workers: int = flag(2, "loader processes; 0 loads in this one", at_least=0, is_free=True)

    def for_rooms(self, dataset: str, num_rooms: int) -> "SemsegSettings":
        """Return the settings with the constants of network and data set filled in and the epochs planned.

        Of a length in steps an epoch has at least MIN_EPOCH_STEPS and, of sr_unet, draws each room at least once.

        Raises:
            ValueError: a flag that the network does not take, named; a stride of blocks above their size; or fewer
                points than neighbours.
        """
        usual = self._usual(dataset)
        filled = replace(self, **{name: value for name, value in usual.items() if getattr(self, name) is None})
        if self.is_by_blocks:
            filled._check_blocks()
        if filled.steps is None:
            return replace(filled, epochs=self.epochs or BLOCK_EPOCHS)
        least = max(math.ceil(num_rooms / filled.batch_size), MIN_EPOCH_STEPS)
        return replace(filled, epochs=min(self.epochs or max(filled.steps // least, 1), filled.steps))

    def _usual(self, dataset: str) -> Mapping[str, Any]:
        """Return `published` and the form of SR-UNet, and refuse what the network does not take."""
        if self.is_by_blocks and self.probe != "none":
            raise ValueError(
                f"--probe {self.probe} is for sr_unet: first layer and classifier of {self.model} are always new, so "
                "that a probe would stand on random layers; leave it out, which trains the whole network"
            )
        usual = dict(published(self.model, dataset))
        usual |= {} if self.is_by_blocks else {"plan": "34C", "kernel_order": "cube"}
        open_names = [field.name for field in fields(self) if field.default is None and field.name != "epochs"]
        for name in open_names:
            if getattr(self, name) is not None and name not in usual:
                raise ValueError(f"--{name} means nothing to --model {self.model}: leave it out")
        return usual

    def _check_blocks(self) -> None:
        check_stride(self.block_stride, self.block_size)
        if self.k is not None and self.k > self.num_points:
            raise ValueError(f"--k {self.k} is above --num_points {self.num_points}: a block has too few neighbours")

    @property
    def is_by_blocks(self) -> bool:
        """Whether the network sees blocks of points, not voxels."""
        return self.model in BLOCK_NETWORKS

    @property
    def block_form(self) -> BlockForm:
        """How rooms are cut; only of settings `for_rooms`."""
        return BlockForm(self.block_size, self.block_stride, self.num_points)

    def epoch_draws(self, num_places: int) -> int:
        """Return how many rooms or blocks an epoch draws, in whole batches; only of settings `for_rooms`.

        Args:
            num_places: of blocks to train on; an epoch without --steps draws as many.
        """
        if self.steps is None:
            return max(num_places // self.batch_size, 1) * self.batch_size
        return math.ceil(self.steps / self.epochs) * self.batch_size


def check_stride(stride: float, size: float) -> None:
    """Refuse a step of the grid of blocks above their size.

    Raises:
        ValueError: names both flags.
    """
    if stride > size:
        raise ValueError(
            f"--block_stride {stride:g} is above --block_size {size:g}: points between blocks would never be seen"
        )


@dataclass(frozen=True)
class RoomScoreSettings(Settings):
    """How a trained network is scored."""

    votes: int = flag(1, "looks at a room whose probabilities are summed: turned evenly about z; of blocks: other "
                      "grids and draws", at_least=1, is_free=True)  # fmt: skip
    json: str = flag("", "results file (default: results.json of the run; --eval: none)", is_free=True)
