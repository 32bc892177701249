"""Pre-training on pairs of RGB-D frames of rooms: settings, data and methods, for the program of all pre-trainings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from datasets.scenes.frame_pairs import ROTATIONS, FramePairItems, FramePairs, MatchedFrames, TaughtFrames
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scannet_scans import SPLITS, list_scans
from models.encoders.scenes.sr_unet import PLANS, SRUNet
from models.methods.method import Method
from models.methods.scene_contrast import SceneContrast
from models.methods.scene_pixels import ScenePixels
from utils import seed
from utils.multiview.teacher import TeacherSettings, build_teacher, size_warnings
from utils.pretraining.pair_loader import build_epoch_loader
from utils.pretraining.pretrainer import PretrainSettings
from utils.processes.launch import ProcessSettings
from utils.run.folder import RunSettings
from utils.scenes.frame_teacher import TaughtFeatures, build_features
from utils.scenes.pair_cache import find_pairs
from utils.settings import Settings, flag
from utils.training.bad_samples import BadSampleSettings
from utils.training.epoch_loader import EpochLoader

PIXELS, POINT_INFO_NCE = "pixels", "point_info_nce"
TEMPERATURES = {PIXELS: 0.5, POINT_INFO_NCE: 0.07}  # published


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
class SceneLossSettings(TeacherSettings):
    """What is contrasted: pixels as a teacher sees them with points, or matched points of two frames."""

    loss: str = flag(PIXELS, "by a teacher; or of two frames, as PointContrast", choices=tuple(TEMPERATURES))
    temperature: float | None = flag(None, "of the contrast (default: 0.5 of pixels, else 0.07)", above=0)
    image_size: int = flag(224, "pixels of what the teacher sees, square", at_least=2, at_most=4096)
    pairs: int = flag(512, "of pixels and points that a step contrasts, of each cloud", at_least=2)
    map_size: int = flag(32, "side of the grid of pixels that pairs refer to", at_least=2)
    global_weight: float = flag(1.0, "of the distillation; 0 leaves it out", at_least=0)
    local_weight: float = flag(1.0, "of the contrast of pixels and points", above=0)
    out_channels: int = flag(32, "contrasted of a voxel, for point_info_nce", at_least=1)
    matches: int = flag(1024, "most of a pair of frames; published: 4,096 of the 4 pairs of a batch", at_least=2)
    match_radius: float = flag(1.5, "largest distance of matched points, in voxels", above=0)

    @property
    def chosen_temperature(self) -> float:
        """The temperature given, else the published one of the loss."""
        return TEMPERATURES[self.loss] if self.temperature is None else self.temperature


class ScenePretrainingSettings(NamedTuple):
    """The settings that `pretrain` asks for, without those of single shapes."""

    run: RunSettings
    model: SceneModelSettings
    training: PretrainSettings
    pairs: ScenePairSettings
    bad_samples: BadSampleSettings
    processes: ProcessSettings


class SceneData:
    """Opens the frames of a pre-training, then builds its method, which needs the teacher's sizes.

    Args:
        settings: of the loss.
    """

    def __init__(self, settings: SceneLossSettings):
        self.settings = settings
        self.features: TaughtFeatures | None = None

    def open(self, common: ScenePretrainingSettings, device: torch.device) -> tuple[EpochLoader, None]:
        """Open the frames, find the pairs and let the teacher see them where that was not done, build the loader.

        Raises:
            OSError: no such data or teacher.
            ValueError: damaged data, or settings that do not go together.
        """
        own, pairs, training, notes = self.settings, common.pairs, common.training, []
        if training.ema_decay or training.micro_batch:
            raise ValueError("--ema_decay and --micro_batch are for encoders of single shapes: leave them out")
        if own.loss == PIXELS:
            own.require_teacher()
            if own.global_weight and pairs.batch_size == 1:
                raise ValueError(
                    "--batch_size 1 leaves BatchNorm before the distillation one row a step: pass 2 or more, or "
                    "--global_weight 0"
                )
        elif own.teacher:
            raise ValueError(f"--loss {own.loss} contrasts two frames, without a teacher: leave --teacher out")
        elif own.matches > pairs.num_points:
            raise ValueError(f"--matches {own.matches} is more than --num_points {pairs.num_points}; pass fewer")
        items = self._items(common, open_pairs(common, notes.append), device, notes)
        place = {"seed": training.seed, "pin_memory": device.type == "cuda"}
        loader = build_epoch_loader(items, pairs, common.bad_samples, **place)
        loader.notes, loader.unit = notes, "pairs of frames"
        return loader, None

    def _items(
        self, common: ScenePretrainingSettings, pairs: FramePairs, device: torch.device, notes: list[str]
    ) -> FramePairItems:
        own, voxel_size, seed_of_run = self.settings, common.model.voxel_size, common.training.seed
        of_base = (pairs, common.pairs.num_points, common.pairs.rotation, seed_of_run)
        if own.loss == POINT_INFO_NCE:
            radius = own.match_radius * voxel_size
            return MatchedFrames(*of_base, num_matches=own.matches, voxel_size=voxel_size, radius=radius)
        teacher = build_teacher(own, seed_of_run)
        notes += size_warnings(teacher, own.map_layer, own.image_size, is_local=True)
        self.features = build_features(
            Path(own.teacher_cache or Path(common.run.output_dir) / "teacher_cache"),
            pairs,
            teacher,
            image_size=own.image_size,
            layer=own.map_layer,
            device=device,
            skips_bad=common.bad_samples.skips,
            report=notes.append,
        )
        seed.everything(seed_of_run)  # as if no teacher had been drawn
        options = {"num_pairs": own.pairs, "map_size": own.map_size, "tolerance": common.pairs.depth_tolerance}
        return TaughtFrames(*of_base, features=self.features, **options)

    def build_method(self, model: SceneModelSettings) -> Method:
        """Build the method for the data that `open` has found."""
        own = self.settings
        network = SRUNet(3, own.out_channels, model.plan, model.conv1_size, model.norm_momentum)
        if own.loss == POINT_INFO_NCE:
            return SceneContrast(network, model.voxel_size, own.matches, own.chosen_temperature)
        method = ScenePixels(
            network,
            model.voxel_size,
            *self.features.dims,
            global_weight=own.global_weight,
            local_weight=own.local_weight,
            temperature=own.chosen_temperature,
            map_size=own.map_size,
        )
        method.origin = own.origin(self.features.arrays.teacher)
        return method


def open_pairs(common: ScenePretrainingSettings, report: Callable[[str], None]) -> FramePairs:
    """Open the frames of all scenes and find their pairs.

    Raises:
        FileNotFoundError, ValueError: no scene or frame, a damaged one, or none that overlap.
    """
    pairs = common.pairs
    folders = list_scans(Path(pairs.data_root), None if pairs.split == "all" else pairs.split)
    if not folders:
        raise ValueError(f"the list of split {pairs.split} in {pairs.data_root} names no scene; pass another --split")
    return find_pairs(
        [SceneFrames(folder) for folder in folders],
        Path(pairs.pair_cache or Path(common.run.output_dir) / "pair_cache"),
        step=pairs.frame_step,
        least=pairs.least_overlap,
        tolerance=pairs.depth_tolerance,
        stride=pairs.overlap_stride,
        report=report,
        skips_bad=common.bad_samples.skips,
    )
