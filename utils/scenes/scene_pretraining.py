"""Pre-training on pairs of RGB-D frames of rooms: settings, data and methods, for the program of all pre-trainings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from datasets.scenes.frame_pairs import ROTATIONS, FramePairs, MatchedFrames
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scannet_scans import SPLITS, list_scans
from models.encoders.scenes.sr_unet import PLANS, SRUNet
from models.methods.method import Method
from models.methods.scene_contrast import SceneContrast
from utils.pretraining.pair_loader import build_epoch_loader
from utils.pretraining.pretrainer import PretrainSettings
from utils.processes.launch import ProcessSettings
from utils.run.folder import RunSettings
from utils.scenes.pair_cache import find_pairs
from utils.settings import Settings, flag
from utils.training.bad_samples import BadSampleSettings
from utils.training.epoch_loader import EpochLoader

POINT_INFO_NCE = "point_info_nce"
LOSSES = (POINT_INFO_NCE,)


@dataclass(frozen=True)
class SceneModelSettings(Settings):
    """The network of voxels."""

    model: str = flag("sr_unet", "network", choices=("sr_unet",))
    plan: str = flag("34C", "of its stages: 34C as published, 18A and 14A are smaller", choices=tuple(PLANS))
    conv1_size: int = flag(3, "edge of its first kernel", choices=(3, 5))
    voxel_size: float = flag(0.025, "edge of a voxel in metres", above=0)
    norm_momentum: float = flag(0.05, "share of a batch in the running statistics", above=0, at_most=1)

    eval = False  # `pretrain` asks for these two

    @property
    def notes(self) -> list[str]:
        """No line on flags without effect."""
        return []


@dataclass(frozen=True)
class ScenePairSettings(Settings):
    """Scenes, their pairs of frames, and what of them makes an item."""

    data_root: str = flag("data", "folder of ScanNet's scans/, with exported frames", is_free=True)
    split: str = flag("train", "scenes of its list; all: those of all folders", choices=(*SPLITS, "all"))
    frame_step: int = flag(25, "frames whose number is a multiple of this; 1 for made rooms", at_least=1)
    least_overlap: float = flag(0.3, "of the depth of each frame, that the other shows", above=0, at_most=1)
    depth_tolerance: float = flag(0.05, "of the occlusion test, in metres", above=0)
    overlap_stride: int = flag(4, "every so many rows and columns are looked for in the other frame", at_least=1)
    pair_cache: str = flag("", "folder of the pairs (default: <output_dir>/pair_cache)", is_free=True)
    num_workers: int = flag(2, "loader processes; 0 loads in this one", at_least=0, is_free=True)
    batch_size: int = flag(4, "pairs of frames per step", at_least=1)
    num_points: int = flag(60_000, "measurements drawn from a frame", at_least=2)
    rotation: str = flag("so3", "of each cloud; z: about the vertical axis", choices=tuple(ROTATIONS))


@dataclass(frozen=True)
class SceneLossSettings(Settings):
    """What is contrasted."""

    loss: str = flag(POINT_INFO_NCE, "matched points of two frames", choices=LOSSES)
    out_channels: int = flag(32, "contrasted of a voxel", at_least=1)
    temperature: float = flag(0.07, "of the contrast", above=0)
    matches: int = flag(1024, "most of a pair of frames; published: 4,096 of the 4 pairs of a batch", at_least=2)
    match_radius: float = flag(1.5, "largest distance of matched points, in voxels", above=0)


class ScenePretrainingSettings(NamedTuple):
    """The settings that `pretrain` asks for, without those of single shapes."""

    run: RunSettings
    model: SceneModelSettings
    training: PretrainSettings
    pairs: ScenePairSettings
    bad_samples: BadSampleSettings
    processes: ProcessSettings


class SceneData:
    """Opens the frames of a pre-training, then builds its method.

    Args:
        settings: of the loss.
    """

    def __init__(self, settings: SceneLossSettings):
        self.settings = settings

    def open(self, common: ScenePretrainingSettings, device: torch.device) -> tuple[EpochLoader, None]:
        """Open the frames, find the pairs where that was not done, and build the loader.

        Raises:
            OSError: no such data.
            ValueError: damaged data, or settings that do not go together.
        """
        own, pairs, training, notes = self.settings, common.pairs, common.training, []
        if training.ema_decay or training.micro_batch:
            raise ValueError("--ema_decay and --micro_batch are for encoders of single shapes: leave them out")
        if own.matches > pairs.num_points:
            raise ValueError(f"--matches {own.matches} is more than --num_points {pairs.num_points}; pass fewer")
        items = MatchedFrames(
            open_pairs(common, notes.append),
            pairs.num_points,
            pairs.rotation,
            training.seed,
            num_matches=own.matches,
            voxel_size=common.model.voxel_size,
            radius=own.match_radius * common.model.voxel_size,
        )
        place = {"seed": training.seed, "pin_memory": device.type == "cuda"}
        loader = build_epoch_loader(items, pairs, common.bad_samples, **place)
        loader.notes, loader.unit = notes, "pairs of frames"
        return loader, None

    def build_method(self, model: SceneModelSettings) -> Method:
        """Build the method for the data that `open` has found."""
        own = self.settings
        network = SRUNet(3, own.out_channels, model.plan, model.conv1_size, model.norm_momentum)
        return SceneContrast(network, model.voxel_size, own.matches, own.temperature)


def open_pairs(common: ScenePretrainingSettings, report: Callable[[str], None]) -> FramePairs:
    """Open the frames of all scenes and find their pairs.

    Raises:
        FileNotFoundError, ValueError: no scene or frame, a damaged one, or none that overlap.
    """
    pairs = common.pairs
    folders = list_scans(Path(pairs.data_root), None if pairs.split == "all" else pairs.split)
    return find_pairs(
        [SceneFrames(folder) for folder in folders],
        Path(pairs.pair_cache or Path(common.run.output_dir) / "pair_cache"),
        step=pairs.frame_step,
        least=pairs.least_overlap,
        tolerance=pairs.depth_tolerance,
        stride=pairs.overlap_stride,
        report=report,
    )
