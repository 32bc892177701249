"""Settings of a semantic segmentation of rooms, with the published constants of each data set as defaults."""

import math
from dataclasses import dataclass, fields, replace

from datasets.scenes.room_sets import ROOM_CLASSES
from models.encoders.scenes.sr_unet import PLANS
from models.methods.semantic_segmentation import PROBES
from models.weights.sr_unet_file import ORDERS
from utils.settings import Settings, flag
from utils.training.engine import AMP_DTYPES
from utils.training.loop import LoopSettings

ALL_AREAS = 0  # as --test_area
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
ROOM_CONSTANTS = {"steps": 20000, "momentum": 0.9, "weight_decay": 1e-4, "augment": True, "crop": 0.0, "amp": "none"}


@dataclass(frozen=True)
class RoomSetSettings(Settings):
    """The rooms, and how many of their labels are seen."""

    data_root: str = flag("data", "folder with Area_<k>/, or with scans/ and scannetv2_{train,val}.txt", is_free=True)
    dataset: str = flag("s3dis", "layout and classes", choices=tuple(ROOM_CLASSES))
    test_area: int = flag(
        5, "of S3DIS: tested on, all others are trained on; all: a training for each, scored together", at_least=0
    )
    label_fraction: float = flag(
        1.0, "share of the training rooms that is used, at least one, drawn by --seed", above=0, at_most=1
    )


@dataclass(frozen=True)
class SemsegSettings(LoopSettings):
    """Network, length, optimiser and augmentation; what is None takes the published value of the data set."""

    model: str = flag("sr_unet", "the network", choices=("sr_unet",))
    plan: str = flag("34C", "size of SR-UNet; of --model_path it must be the file's", choices=tuple(PLANS))
    kernel_order: str = flag(
        "cube", "order of kernels in --model_path: cube for our files, hybrid for PointContrast's", choices=ORDERS
    )
    probe: str = flag(
        "none", "train the last layer alone, on standardised features, or all behind the coarsest", choices=PROBES
    )
    steps: int = flag(20000, "length, rounded up to whole epochs", at_least=1)
    epochs: int | None = flag(None, "parts of --steps, a state after each (default: of 100 steps or more)", at_least=1)
    voxel: float | None = flag(None, "edge of a voxel in metres (s3dis 0.05, scannet 0.02)", above=0)
    batch_size: int | None = flag(None, "rooms per step (s3dis 18, scannet 48)", at_least=1)
    crop: float = flag(0.0, "train on squares of this edge in metres; 0: whole rooms", at_least=0)
    lr: float | None = flag(None, "of the first step of SGD (s3dis 0.1, scannet 0.8)", above=0)
    momentum: float = flag(0.9, "of SGD", at_least=0, below=1)
    weight_decay: float = flag(1e-4, "of SGD", at_least=0)
    colour_shift: float | None = flag(None, "largest shift of a colour (s3dis 0.05, scannet 0.1)", at_least=0)
    colour_jitter: float | None = flag(None, "noise of colours (s3dis 0.005, scannet 0.05)", at_least=0)
    augment: bool = flag(True, "mirror, turn about z and scale rooms, and change their colours")
    amp: str = flag("none", "precision of the network", choices=tuple(AMP_DTYPES))
    num_workers: int = flag(2, "loader processes; 0 loads in this one", at_least=0, is_free=True)

    def for_rooms(self, dataset: str, num_rooms: int) -> "SemsegSettings":
        """Return the settings with the constants of a data set filled in and the epochs planned.

        An epoch has at least MIN_EPOCH_STEPS steps and draws each room at least once.
        """
        recipe = ROOM_RECIPES[dataset]
        names = [field.name for field in fields(recipe) if getattr(self, field.name) is None]
        filled = replace(self, **{name: getattr(recipe, name) for name in names})
        least = max(math.ceil(num_rooms / filled.batch_size), MIN_EPOCH_STEPS)
        return replace(filled, epochs=min(self.epochs or max(self.steps // least, 1), self.steps))

    @property
    def epoch_draws(self) -> int:
        """Rooms drawn in an epoch; only of settings `for_rooms`."""
        return math.ceil(self.steps / self.epochs) * self.batch_size


@dataclass(frozen=True)
class RoomScoreSettings(Settings):
    """How a trained network is scored."""

    votes: int = flag(1, "copies of a room, turned evenly about z, whose probabilities are summed", at_least=1,
                      is_free=True)  # fmt: skip
    json: str = flag("", "results file (default: results.json of the run; --eval: none)", is_free=True)
