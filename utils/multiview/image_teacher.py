"""A frozen image network as teacher of whole shapes, and the clouds of the shapes that it has seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets.pairs.render_pairs import RenderPairs
from datasets.pairs.taught.taught_items import TaughtItems
from datasets.transforms.point_transforms import PointAugment
from models.methods.taught_crosspoint import TaughtCrossPoint
from models.weights.teacher_network import default_size, load_image_teacher
from utils import seed
from utils.multiview.view_rows import ViewRows, build_view_rows
from utils.pretraining.pair_loader import SourceSettings, build_epoch_loader, build_transform, open_source
from utils.pretraining.program import PretrainingSettings
from utils.settings import Settings, flag
from utils.training.engine import BatchTransform
from utils.training.epoch_loader import EpochLoader

TEACHER_LABELS = "image_teacher_labels"  # in config.json and every state: NO_LABELS, or what they are of
NO_LABELS = "none"
_IMAGENET = "imagenet"
_TEACHER_DIGEST = "image_teacher_sha256"  # in config.json and every state: the file may be replaced


@dataclass(frozen=True)
class ImageTeacherSettings(Settings):
    """A frozen image network in place of the one that is trained."""

    image_teacher: str = flag(
        "none",
        "frozen network that sees all views before the training, in place of the image branch: imagenet "
        "(EfficientNet-Lite0 of a wheel), a torchvision file of a ResNet, or one of scripts.pretrain_images",
    )
    teacher_labels: str = flag(
        "", "labels that the network of such a file has learned from, such as ImageNet, or none; recorded"
    )
    teacher_size: int | None = flag(
        None,
        "pixels of the views it sees (default: 160 of imagenet, those a file notes, else 224)",
        at_least=2,
        at_most=4096,
    )
    teacher_cache: str = flag("", "folder of its features (default: <output_dir>/teacher_cache)", is_free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.image_teacher:
            raise ValueError("--image_teacher is empty; pass none, imagenet or a file")
        is_file = self.has_teacher and self.image_teacher != _IMAGENET
        if is_file and not self.teacher_labels:
            raise ValueError(
                f"--image_teacher {self.image_teacher}: say by --teacher_labels what labels it has learned from, such "
                "as ImageNet, or none: records of runs that used labels stand apart"
            )
        if self.teacher_labels and not is_file:
            raise ValueError(f"--teacher_labels belongs to a file, not to --image_teacher {self.image_teacher}")

    @property
    def has_teacher(self) -> bool:
        """Whether there is one."""
        return self.image_teacher != "none"

    @property
    def labels(self) -> str:
        """The labels that the teacher has learned from, NO_LABELS for none."""
        return "ImageNet" if self.image_teacher == _IMAGENET else self.teacher_labels

    def see(
        self,
        data: SourceSettings,
        cache: Path,
        device: torch.device,
        *,
        skips_bad: bool = False,
        report: Callable[[str], None],
    ) -> tuple[ViewRows, RenderPairs]:
        """Let the teacher see all views of the shapes that `data` names, where it has not; return its rows, and them.

        Args:
            cache: folder of its features where --teacher_cache names none.
            skips_bad: leave out what cannot be read.
            report: called with lines for people.
        Raises:
            OSError: no such data or teacher.
            ValueError: damaged data or weights, or a wheel that is missing.
        """
        background = data.one_background("--image_teacher")
        source = open_source(data, background=background, num_points=2)  # any number: no cloud is read
        if left_out := getattr(source, "left_out", []):
            report(f"{len(left_out)} shapes without a view are left out, such as {left_out[0]}")
        teacher = load_image_teacher(self.image_teacher)
        size = self.teacher_size or default_size(teacher)
        place = {"device": device, "skips_bad": skips_bad, "report": report}
        return build_view_rows(Path(self.teacher_cache or cache), source, teacher, image_size=size, **place), source


class TaughtClouds:
    """Opens the data of a CrossPoint with a teacher, then builds its method, which needs the width of the rows.

    Args:
        settings: of the teacher.
    """

    def __init__(self, settings: ImageTeacherSettings):
        self.settings = settings
        self.rows: ViewRows | None = None

    def open(
        self, common: PretrainingSettings, device: torch.device, more_clouds: Mapping[str, PointAugment]
    ) -> tuple[EpochLoader, BatchTransform | None]:
        """Open the shapes, let the teacher see them where it has not, and build the loader.

        Args:
            more_clouds: of an item, beside aug_a and aug_b, and what makes each.
        Raises:
            OSError: no such data or teacher.
            ValueError: damaged data, or settings that do not go together.
        """
        pairs, augment, notes = common.pairs, common.augment, []
        if common.shards.shards is not None:
            raise ValueError("--shards hold one view of each shape a pass, a teacher sees all: pass --packed FILE")
        cache, skips_bad = Path(common.run.output_dir) / "teacher_cache", common.bad_samples.skips
        self.rows, _ = self.settings.see(pairs, cache, device, skips_bad=skips_bad, report=notes.append)
        seed.everything(common.training.seed)  # as if no teacher had been built
        clouds = augment.clouds | dict(more_clouds)
        source = open_source(
            pairs,
            num_points=pairs.num_points,
            clouds=clouds,
            augment=augment.augment == "loader",
            with_images=False,
            seed=common.training.seed,
        )
        place = {"seed": common.training.seed, "pin_memory": device.type == "cuda"}
        loader = build_epoch_loader(TaughtItems(source, self.rows), pairs, common.bad_samples, **place)
        loader.notes = notes
        return loader, build_transform(pairs, augment, clouds, common.training.seed)

    def build_method(self, encoder: nn.Module, **options: Any) -> TaughtCrossPoint:
        """Build the method for the rows that `open` has found.

        Args:
            options: of CrossPoint.
        """
        method = TaughtCrossPoint(encoder, self.rows.dim, **options)
        method.origin = {_TEACHER_DIGEST: self.rows.teacher, TEACHER_LABELS: self.settings.labels}
        return method
