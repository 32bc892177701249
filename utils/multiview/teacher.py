"""The teacher of a multi-view pre-training, and the batches that it has seen."""

from dataclasses import dataclass
from pathlib import Path

import torch

from datasets.pairs.multiview_items import MultiViewItems, SeenCloudAugment
from datasets.pairs.pair_selection import SELECTIONS
from models.encoders.image_resnet import DEPTHS
from models.encoders.images.multiview_efficientnet import MultiViewEfficientNet
from models.encoders.multiview_resnet import LAYERS, SHRINKING, STEMS, MultiViewNetwork, MultiViewResNet
from models.methods.multiview import MultiView
from models.weights.teacher_file import load_teacher
from utils import seed
from utils.multiview.image_teacher import TEACHER_LABELS
from utils.multiview.teacher_cache import TeacherCache, build_cache
from utils.pretraining.pair_loader import build_epoch_loader, open_source
from utils.pretraining.program import PretrainingSettings
from utils.settings import Settings, flag
from utils.training.epoch_loader import EpochLoader

TEACHER_DIGEST = "teacher_sha256"  # in config.json and every state: the file of --teacher may be replaced
_OF_IMAGENET = ("imagenet", "imagenet_lite")  # values of --teacher whose network has learned from labels
_WITHOUT_FILE = ("random", *_OF_IMAGENET)
_TEACHERS = f"{', '.join(_WITHOUT_FILE)}, or models/teacher_last.pth of python -m scripts.pretrain_images"
MAP_SIZE = 32  # side of the grid of pixels that pairs refer to, as published


@dataclass(frozen=True)
class TeacherSettings(Settings):
    """The frozen image network, and which of its maps teaches."""

    teacher: str = flag(
        "",
        "random; imagenet, a ResNet that torchvision downloads; imagenet_lite, EfficientNet-Lite0 of a wheel "
        "(requirements-image.txt); or models/teacher_last.pth of scripts.pretrain_images",
    )
    teacher_depth: int = flag(50, "ResNet depth of a random or ImageNet teacher", choices=DEPTHS)
    teacher_stem: str = flag("small", "its stem; an ImageNet teacher has the standard one", choices=STEMS)
    map_layer: int = flag(LAYERS[-1], "of the teacher, whose maps teach the points; published: 4", choices=LAYERS)
    teacher_cache: str = flag("", "folder of its features (default: <output_dir>/teacher_cache)", is_free=True)

    def require_teacher(self) -> None:
        """Raise a ValueError where no teacher is named, and a FileNotFoundError where its file is missing."""
        if not self.teacher:
            raise ValueError(f"a training needs a --teacher: {_TEACHERS}")
        if self.teacher not in _WITHOUT_FILE and not Path(self.teacher).is_file():
            raise FileNotFoundError(f"no image network at --teacher {self.teacher}; a teacher is {_TEACHERS}")

    def origin(self, digest: str) -> dict[str, str]:
        """Return what a run records of a teacher with this digest: see Method.origin."""
        labels = {TEACHER_LABELS: "ImageNet"} if self.teacher in _OF_IMAGENET else {}
        return {TEACHER_DIGEST: digest, **labels}


@dataclass(frozen=True)
class MultiViewSettings(TeacherSettings):
    """The teacher, the pairs and the loss."""

    views: int = flag(12, "the first so many of each shape", at_least=1)
    pairs: int = flag(512, "of pixels and points that a step contrasts, of each shape", at_least=2)
    selection: str = flag("random", "of the pairs; see docs/multiview.md", choices=SELECTIONS)
    global_weight: float = flag(1.0, "of the distillation; 0 leaves it out")
    local_weight: float = flag(1.0, "of the contrast of pixels and points; 0 leaves it out")
    temperature: float = flag(0.5, "of that contrast", above=0)
    mask_same_point: bool = flag(False, "two pixels of one point are no negatives of each other")
    partial: float = flag(
        0.0, "share of the clouds that keep only the points that one view shows, as a scan; ours", at_least=0, at_most=1
    )
    jitter: float = flag(0.0, "deviation of the noise on coordinates, cut at five times this", at_least=0)


def build_teacher(settings: TeacherSettings, seed_of_run: int) -> MultiViewNetwork:
    """Load the teacher, or make a random one that depends on the seed alone.

    Raises:
        FileNotFoundError, OSError: no such file, or a download failed.
        ValueError: it is no teacher, or the wheel is not installed.
    """
    if settings.teacher not in _WITHOUT_FILE:
        return load_teacher(settings.teacher)
    seed.everything(seed_of_run)
    if settings.teacher == "imagenet_lite":
        return MultiViewEfficientNet().eval()
    if settings.teacher == "imagenet":
        return MultiViewResNet(settings.teacher_depth, "standard", "imagenet").eval()
    return MultiViewResNet(settings.teacher_depth, settings.teacher_stem).eval()


def size_warnings(teacher: MultiViewNetwork, layer: int, image_size: int, *, is_local: bool) -> list[str]:
    """Warn where the teacher was trained on images of another size.

    Args:
        layer: whose maps teach.
        is_local: whether they teach pixel by pixel.
    Raises:
        ValueError: all pixels of a view would have the same features, so that a local loss teaches nothing.
    """
    with torch.inference_mode():
        side = teacher.see(torch.zeros(1, 1, 3, image_size, image_size), layer)[0].shape[-1]
    cell = SHRINKING[teacher.stem] >> LAYERS[-1] - layer
    if side == 1 and is_local:
        raise ValueError(
            f"--image_size {image_size}: the {teacher.stem} stem of the teacher makes one cell of a whole view, in "
            f"which points find no pixel of their own; pass --image_size {2 * cell} or more, or "
            "--local_weight 0"
        )
    if teacher.image_size in (None, image_size):
        return []
    return [
        f"warning: the teacher was trained on {teacher.image_size} x {teacher.image_size} pixels, here it sees "
        f"--image_size {image_size}"
    ]


class TaughtPairs:
    """Opens the data of a multi-view pre-training, then builds its method, which needs the teacher's sizes.

    Args:
        settings: of the method.
    """

    def __init__(self, settings: MultiViewSettings):
        self.settings = settings
        self.cache: TeacherCache | None = None
        self.items: MultiViewItems | None = None

    def open(self, common: PretrainingSettings, device: torch.device) -> tuple[EpochLoader, None]:
        """Open the shapes, let the teacher see them where it has not, and build the loader.

        Raises:
            OSError: no such data or teacher.
            ValueError: damaged data, or settings that do not go together.
        """
        own, pairs, augment, notes = self.settings, common.pairs, common.augment, []
        own.require_teacher()
        if common.shards.shards is not None:
            raise ValueError("--shards hold one view of each shape a pass: pass --packed FILE, or --data_root")
        if augment.augment != "loader":
            raise ValueError("--augment device would move points away from their pairs: leave it out")
        if augment.crop_min < 1:
            raise ValueError("--crop_min would take points away from their pairs: leave it out, or pass --partial")
        source = open_source(pairs, background=pairs.one_background("--teacher"), num_points=pairs.num_points)
        if left_out := getattr(source, "left_out", []):
            notes.append(f"{len(left_out)} shapes without a view are left out, such as {left_out[0]}")
        if not common.bad_samples.skips:
            source.read_pixel_pairs(0)  # a set without pairs is refused before the teacher works
        teacher = build_teacher(own, common.training.seed)
        notes += size_warnings(teacher, own.map_layer, pairs.image_size, is_local=bool(own.local_weight))
        folder = Path(own.teacher_cache or Path(common.run.output_dir) / "teacher_cache")
        self.cache = build_cache(
            folder,
            source,
            teacher,
            num_views=own.views,
            image_size=pairs.image_size,
            layer=own.map_layer,
            num_points=pairs.num_points,
            device=device,
            skips_bad=common.bad_samples.skips,
            report=notes.append,
        )
        seed.everything(common.training.seed)  # as if no teacher had been drawn
        self.items = MultiViewItems(
            source,
            self.cache,
            num_points=pairs.num_points,
            num_views=own.views,
            num_pairs=own.pairs,
            map_size=MAP_SIZE,
            selection=own.selection,
            augment=SeenCloudAugment(
                augment.rotation,
                augment.max_scale,
                augment.translation,
                own.jitter,
                augment.max_dropout,
                own.partial,
            ),
            seed=common.training.seed,
        )
        place = {"seed": common.training.seed, "pin_memory": device.type == "cuda"}
        loader = build_epoch_loader(self.items, pairs, common.bad_samples, **place)
        loader.notes = notes
        return loader, None

    def build_method(self, encoder: torch.nn.Module, k: int | None) -> MultiView:
        """Build the method for the teacher that `open` has found."""
        own = self.settings
        method = MultiView(
            encoder,
            self.cache.map_dim,
            self.cache.target_dim,
            global_weight=own.global_weight,
            local_weight=own.local_weight,
            temperature=own.temperature,
            map_size=MAP_SIZE,
            masks_same_point=own.mask_same_point,
            k=k,
        )
        method.origin = own.origin(self.cache.teacher)
        return method
