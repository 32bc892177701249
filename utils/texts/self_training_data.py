"""The data of a cross-modal self-training, and the method that its settings describe."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.pairs.weak_strong_items import WeakStrongItems
from datasets.texts.class_texts import listed_classes
from models.losses.self_training import LABELS, PUBLISHED_THRESHOLDS, Thresholds, trained_branches
from models.methods.cross_modal_self_training import (
    ALIGNMENT_TEMPERATURE,
    PUBLISHED_PACE,
    PUBLISHED_WEIGHTS,
    CrossModalSelfTraining,
    TeacherPace,
    TermWeights,
)
from models.methods.masked_towers import mask_grid
from models.methods.text_alignment import AlignedTowers, load_towers
from models.text.clip_model import ClipImages
from utils.pretraining.pair_loader import AugmentSettings, PairSettings, build_epoch_loader, open_source
from utils.run.provenance import file_sha256
from utils.settings import flag
from utils.texts.text_tower import ClipSettings, PromptSettings, classifier_for
from utils.training.bad_samples import BadSampleSettings
from utils.training.epoch_loader import EpochLoader

TOWERS_DIGEST = "towers_sha256"  # in config.json and every state: the file of --towers may be replaced


@dataclass(frozen=True)
class SelfTrainingSettings(ClipSettings, PromptSettings):
    """Towers, classes and losses; the defaults are published for ModelNet40."""

    towers: str = flag(help="models/towers_best.pth of scripts.align_text, or towers of this program")
    classes: str = flag("", "names separated by commas (default: those that the towers have already)")
    labels: str = flag("joint", "whose labels are learned by which branch; see docs/crossmost.md", choices=LABELS)
    omega: float = flag(PUBLISHED_THRESHOLDS.omega, "factor of the scores of points in joint labels", above=0)
    threshold: float = flag(PUBLISHED_THRESHOLDS.joint, "score that a joint label must exceed", at_least=0, below=1)
    image_threshold: float = flag(PUBLISHED_THRESHOLDS.image, "that of a label of images alone", at_least=0, below=1)
    points_threshold: float = flag(PUBLISHED_THRESHOLDS.points, "that of a label of points alone", at_least=0, below=1)
    points_weight: float = flag(PUBLISHED_WEIGHTS.points, "factor of all terms of points", above=0)
    fairness_weight: float = flag(PUBLISHED_WEIGHTS.fairness, "of classes that are used evenly", at_least=0)
    masked: bool = flag(True, "hide patches and groups where the towers have them")
    masked_weight: float = flag(PUBLISHED_WEIGHTS.masked, "of telling what is hidden", at_least=0)
    local_weight: float = flag(PUBLISHED_WEIGHTS.local, "of hidden tokens that point where the whole does", at_least=0)
    alignment_weight: float | None = flag(
        None, "of points with images (default: 1 where both learn the same label, else 0)", at_least=0
    )
    alignment_temperature: float = flag(ALIGNMENT_TEMPERATURE, "of that contrast", above=0)
    published_losses: bool = flag(False, "masked and alignment terms as CrossMoST's code has them, with their faults")
    freeze_groups: bool = flag(True, "Point-BERT's encoder of groups stays as it is")
    first_decay: float = flag(PUBLISHED_PACE.first, "of the teacher, at the first step", at_least=0, at_most=1)
    last_decay: float = flag(PUBLISHED_PACE.last, "of the teacher, after --ramp steps", at_least=0, at_most=1)
    ramp: int = flag(PUBLISHED_PACE.ramp, "steps", at_least=1)

    def build_method(self, towers: AlignedTowers) -> CrossModalSelfTraining:
        """Build the method on towers that have classes."""
        return CrossModalSelfTraining(
            towers,
            labels=self.labels,
            thresholds=Thresholds(self.omega, self.threshold, self.image_threshold, self.points_threshold),
            weights=TermWeights(
                self.points_weight, self.fairness_weight, self.masked_weight, self.local_weight, self.alignment_weight
            ),
            pace=TeacherPace(self.first_decay, self.last_decay, self.ramp),
            alignment_temperature=self.alignment_temperature,
            is_masked=self.masked,
            has_frozen_groups=self.freeze_groups,
            published_losses=self.published_losses,
        )


@dataclass(frozen=True)
class UnlabelledSettings(PairSettings):
    """Shapes and their views, in the size that the towers were trained on."""

    image_size: int | None = flag(None, "pixels, square (default: those of the towers)", at_least=2, at_most=4096)


def load_start(settings: SelfTrainingSettings) -> AlignedTowers:
    """Load the towers, and give them the classes of --classes if they have none, by the prompts of their names.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no towers, no classes, or other classes than the towers have; also as `classifier_for`.
    """
    towers = load_towers(settings.towers)
    names = listed_classes(settings.classes)
    if towers.class_names:
        if names and names != towers.class_names:
            raise ValueError(
                f"{settings.towers} has classes of its own, {', '.join(towers.class_names)}: leave --classes out, or "
                "begin with towers of scripts.align_text"
            )
        return towers
    if len(names) < 2:
        raise ValueError(f"--classes {settings.classes!r}: name two classes or more, with commas between")
    towers.set_classes(names, classifier_for(towers.text, settings, names, settings.read_prompts()))
    return towers


def start_origin(settings: SelfTrainingSettings) -> dict[str, str]:
    """Return what decides beside flags and data what is learned: the digest of the towers' file."""
    return {TOWERS_DIGEST: file_sha256(Path(settings.towers))}


def open_unlabelled(
    data: UnlabelledSettings,
    augment: AugmentSettings,
    bad_samples: BadSampleSettings,
    own: SelfTrainingSettings,
    towers: AlignedTowers,
    *,
    given: Mapping[str, int] | None = None,
    seed: int,
    pin_memory: bool,
) -> EpochLoader:
    """Open the shapes and build the loader of their weak and strong pairs; the towers note the size of their images.

    Args:
        given: labels that a person has given, see `WeakStrongItems`.
    Raises:
        OSError: no such data.
        ValueError: damaged data, or settings that do not go together.
    """
    if augment.augment != "loader":
        raise ValueError("--augment device knows CrossPoint's two clouds only: leave it out")
    if augment.crop_min < 1:
        raise ValueError("--crop_min: the weak and the strong cloud are made of the same points: leave it out")
    has_images = "image" in trained_branches(own.labels)
    if not has_images:
        data.refuse_unseen(f"--labels {own.labels}")
    if has_images and not towers.knows_images:
        raise ValueError(
            f"--labels {own.labels} needs images, of which {own.towers} has learned nothing: pass --labels points, or "
            "align with --image_weight above 0"
        )
    size = towers.image_size if data.image_size is None else data.image_size
    if size != towers.image_size and isinstance(towers.image_encoder, ClipImages):
        raise ValueError(f"--image_size {size}: these towers take {towers.image_size} pixels")
    towers.image_size = size  # by which what is trained will be scored
    views = {"background": data.behind_views, "with_images": has_images}
    source = open_source(data, num_points=data.num_points, **views)
    items = WeakStrongItems(
        source,
        augment.cloud,
        num_points=data.num_points,
        image_size=size,
        grid=mask_grid(towers.image_encoder) if has_images and own.masked else None,
        with_images=has_images,
        given=given,
        seed=seed,
    )
    return build_epoch_loader(items, data, bad_samples, seed=seed, pin_memory=pin_memory)
