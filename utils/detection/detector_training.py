"""The training of a detector: settings with the published values, the network, the run.

Source: Qi et al. 2019, arXiv:1904.09664, train.py and README of facebookresearch/votenet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from datasets.detection.boxed_rooms import BOXED_ROOMS, BoxedRooms
from datasets.detection.detection_sets import DetectionSet, mean_sizes
from models.detection.proposals import SAMPLINGS
from models.detection.vote_backbone import SeedBackbone, VoteBackbone
from models.detection.vote_network import VoteNet
from models.encoders.scenes.sr_unet import PLANS, SRUNet
from models.encoders.scenes.sr_unet_seeds import SRUNetSeeds
from models.methods.detection import Detection
from models.weights.sr_unet_file import ORDERS, load_backbone
from utils.detection.detection_data import INPUTS
from utils.settings import Settings, flag
from utils.training.loop import LoopSettings, Training
from utils.training.optim import build_optimizer, set_norm_momentum

PUBLISHED_POINTS = {"scannet": 40_000, "sunrgbd": 20_000}
DECAYS, OF_NINTHS, DECAY = (4, 6, 8), 9, 0.1  # after 80, 120 and 160 of 180 epochs
NORM_MOMENTUM, LEAST_NORM_MOMENTUM = 0.5, 0.001
BACKBONES = ("pointnet2", "sr_unet")
_USUAL = {"plan": "34C", "voxel_size": 0.025, "kernel_order": "cube"}  # of sr_unet


@dataclass(frozen=True)
class RoomSettings(Settings):
    """Which rooms are read, and what of their points."""

    dataset: str = flag(help="scannet, or sunrgbd as VoteNet prepares it", choices=tuple(BOXED_ROOMS))
    data_root: str = flag(
        "data", "folder of scans/ and scannetv2_*.txt, or of sunrgbd_pc_bbox_votes_50k_v1_*/", is_free=True
    )
    num_points: int | None = flag(None, "points of a scene (default: 40000 of ScanNet, 20000 of SUN RGB-D)", at_least=1)
    inputs: str | None = flag(
        None, "of a point beside its place (default: pointnet2 height, sr_unet colour)", choices=tuple(INPUTS)
    )

    def rooms(self, split: str) -> BoxedRooms:
        """Return the rooms of a split."""
        return BOXED_ROOMS[self.dataset](Path(self.data_root), split)


@dataclass(frozen=True)
class DetectorSettings(LoopSettings):
    """Network and optimisation of a detector."""

    epochs: int = flag(180, "passes over the scenes; the rate falls after 4/9, 6/9 and 8/9 of them", at_least=1)
    steps: int = flag(0, "length in steps, rounded up to whole epochs, in place of --epochs", at_least=0)
    batch_size: int = flag(8, "scenes per step", at_least=1)
    lr: float = flag(0.001, "of Adam", above=0)
    num_workers: int = flag(4, "loader processes; 0 loads in this one", at_least=0, is_free=True)
    backbone: str = flag("pointnet2", "what gives the seeds", choices=BACKBONES)
    num_proposals: int = flag(256, "boxes proposed in a scene", at_least=1)
    detach_votes: bool = flag(False, "places of votes learn from the votes' own term alone, not from the boxes' too")
    mean_sizes: str = flag("published", "of each class, or of the training boxes", choices=("published", "train"))
    voxel_size: float | None = flag(None, "of sr_unet: edge of a voxel in metres (0.025)", above=0)
    plan: str | None = flag(None, "size of sr_unet (34C); of --model_path it must be the file's", choices=tuple(PLANS))
    model_path: str = flag("", "pre-trained sr_unet, of which all but the last layer is taken; none: from scratch")
    kernel_order: str | None = flag(
        None,
        "of --model_path: cube for our files, hybrid for those of PointContrast's code before MinkowskiEngine 0.5",
        choices=ORDERS,
    )

    def filled(self) -> "DetectorSettings":
        """Return the settings with the constants of SR-UNet filled in.

        Raises:
            ValueError: one is given that the network does not take, named.
        """
        is_sparse, sparse = self.backbone == "sr_unet", "--backbone sr_unet"
        needs = {"voxel_size": (is_sparse, sparse), "plan": (is_sparse, sparse)}
        needs["kernel_order"] = (bool(self.model_path), "--model_path")
        for name, (is_met, needed) in needs.items():
            if getattr(self, name) is not None and not is_met:
                raise ValueError(f"--{name} belongs to {needed}: leave it out")
        return replace(self, **{name: value for name, value in _USUAL.items() if getattr(self, name) is None})

    def require_plan(self) -> None:
        """Refuse a plan that is not that of --model_path.

        Raises:
            FileNotFoundError, ValueError: no such file, damaged, or an SR-UNet of another plan.
        """
        if not self.model_path or self.plan is None:
            return
        if (found := load_backbone(self.model_path, 1, self.kernel_order or _USUAL["kernel_order"]).plan) != self.plan:
            raise ValueError(f"{self.model_path} is an SR-UNet {found}, got --plan {self.plan}; pass --plan {found}")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model_path and self.backbone != "sr_unet":
            raise ValueError(
                f"--model_path {self.model_path} starts an SR-UNet, but --backbone is {self.backbone}: pass "
                "--backbone sr_unet, or leave --model_path out"
            )


@dataclass(frozen=True)
class DetectorScoreSettings(Settings):
    """How a detector is scored on val, and what is drawn."""

    test_batch_size: int = flag(8, "scenes per forward pass in evaluation", at_least=1, is_free=True)
    eval_sampling: str = flag("seed_fps", "of the votes that proposals start from", choices=SAMPLINGS, is_free=True)
    num_pictures: int = flag(6, "scenes of val in boxes.png; 0: none", at_least=0, is_free=True)
    json: str = flag("", "results file (default: results.json of the run)", is_free=True)


def sizes_of(rooms: BoxedRooms, settings: DetectorSettings, report: Callable[[str], None]) -> Sequence:
    """Return the mean size of each class, published or of the training boxes, for which all rooms are read.

    Classes without a training box keep the published size.

    Raises:
        ValueError: a class whose boxes are all flat, as of instances of one point.
    """
    published = rooms.kind.mean_sizes
    if settings.mean_sizes == "published":
        return published
    boxes = [rooms.read(index, with_votes=False).boxes for index in range(len(rooms))]
    sizes = mean_sizes(boxes, len(published), published)
    flat = [name for name, size in zip(rooms.kind.classes, sizes) if min(size) <= 0]
    if flat:
        raise ValueError(
            f"{rooms.place}: all boxes of {', '.join(flat)} to train on are flat, and a mean size of 0 m fits no box; "
            "pass --mean_sizes published"
        )
    kept = [name for name, own, other in zip(rooms.kind.classes, sizes, published) if own == other]
    number = sum(len(one.label) for one in boxes)
    report(f"mean sizes are those of {number} training boxes; classes without one: {', '.join(kept) or 'none'}")
    return sizes


def build_detector(kind: DetectionSet, sizes: Sequence, settings: DetectorSettings, inputs: str) -> VoteNet:
    """Build the network, with weights of --model_path where it names some.

    Raises:
        ValueError: these are damaged, or of a network that takes other inputs.
    """
    options = {"num_proposals": settings.num_proposals, "sampling": "vote_fps", "detach_votes": settings.detach_votes}
    return VoteNet(_build_backbone(settings, inputs), sizes, kind.num_headings, **options)


def _build_backbone(settings: DetectorSettings, inputs: str) -> SeedBackbone:
    channels = INPUTS[inputs]
    if settings.backbone == "pointnet2":
        return VoteBackbone(channels)
    wanted = max(channels, 1)
    if not settings.model_path:
        return SRUNetSeeds(SRUNet(wanted, plan=settings.plan), voxel_size=settings.voxel_size)
    unet = load_backbone(settings.model_path, 1, settings.kernel_order)  # SRUNetSeeds replaces its last layer
    found = unet.conv0p1s1.kernel.shape[1]
    if found != wanted:
        raise ValueError(
            f"{settings.model_path} takes {found} channels of a voxel, --inputs {inputs} gives {wanted}: pass other "
            f"--inputs ({', '.join(f'{name} {max(number, 1)}' for name, number in INPUTS.items())})"
        )
    return SRUNetSeeds(unet, voxel_size=settings.voxel_size)


class DetectorTraining(Training):
    """One training of a detector. Nothing is scored between epochs, so that val chooses nothing."""

    settings: DetectorSettings
    method: Detection

    def build_optimizer(self) -> tuple[Optimizer, LRScheduler]:
        """Build Adam, with the published schedule."""
        settings = self.settings
        optimizer = build_optimizer(self.method.parameters(), lr=settings.lr, weight_decay=0.0)
        return optimizer, detector_schedule(optimizer, settings.epochs, len(self.loader))

    def before_epoch(self, epoch: int) -> None:
        """Set the momentum of BatchNorm: a function of the epoch."""
        set_norm_momentum(self.method, epoch, NORM_MOMENTUM, LEAST_NORM_MOMENTUM)

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Keep the network of the last epoch."""
        if epoch + 1 == self.settings.epochs:
            self.save_weights(self.method.network.state_dict(), "best_model.pth")
        return {}


def detector_schedule(optimizer: Optimizer, epochs: int, steps: int) -> LambdaLR:
    """Multiply the rate by 0.1 after 4/9, 6/9 and 8/9 of the epochs; a function of the step alone.

    Args:
        epochs: of the whole training.
        steps: optimiser steps in an epoch.
    """
    return LambdaLR(
        optimizer, lambda step: DECAY ** sum(step // steps * OF_NINTHS >= ninths * epochs for ninths in DECAYS)
    )
