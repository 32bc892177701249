"""Labelling of a folder of rendered shapes: self-training on them, and the classes that the towers then see."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from datasets.shapes.shape_folder import ShapeFile
from models.methods.text_alignment import AlignedTowers
from utils.pretraining.pair_loader import AugmentSettings
from utils.run.folder import RunSettings, check_same, open_run, read_config
from utils.run.names import CONFIG_FILE
from utils.settings import Settings, flag, record
from utils.texts.label_folder import LabelFolder
from utils.texts.self_trainer import SelfTraining, SelfTrainSettings
from utils.texts.self_training_data import SelfTrainingSettings, UnlabelledSettings, open_unlabelled, start_origin
from utils.texts.zero_shot import zero_shot_logits
from utils.texts.zero_shot_sets import FolderShapes
from utils.training.bad_samples import BadSampleSettings

CORRECTIONS_DIGEST = "corrections_sha256"


@dataclass(frozen=True)
class LabelSettings(Settings):
    """Length of the self-training on a folder, and how its shapes are read."""

    steps: int = flag(100, "of self-training on the folder itself; 0: zero-shot alone", at_least=0)
    base_lr: float = flag(1e-3, "rate at 256 shapes a step; times --batch_size / 256", above=0)
    batch_size: int = flag(32, "shapes per step, of a smaller folder all", at_least=2)
    prototypes: float = flag(
        0.5,
        "share of the shapes of each class, the surest, whose mean takes the place of the class's name; 0: names alone",
        at_least=0,
        at_most=1,
    )
    num_points: int = flag(1024, "of a cloud, a random subset", at_least=2)
    background: str = flag("black", "behind the views, as in the alignment", choices=("black", "white"))
    seed: int = flag(0, "of clouds, views and training")


class Adapted(NamedTuple):
    """Towers after self-training, and a line about it."""

    towers: AlignedTowers
    note: str


def classify(towers: AlignedTowers, shapes: Sequence[ShapeFile], settings: LabelSettings) -> dict[str, np.ndarray]:
    """Compare shapes with the towers' own classes, or with their prototypes; see `zero_shot_logits`."""
    files = FolderShapes(shapes, settings.num_points, settings.background, settings.seed)
    options = {"batch_size": settings.batch_size, "seed": settings.seed, "prototype_share": settings.prototypes or None}
    return zero_shot_logits(towers, files, towers.classifier.detach(), **options)


def self_train(
    towers: AlignedTowers,
    own: SelfTrainingSettings,
    settings: LabelSettings,
    place: LabelFolder,
    given: Mapping[str, int],
    *,
    num_shapes: int,
    device: torch.device,
) -> Adapted:
    """Self-train towers on all rendered shapes, or go on with an interrupted training of this round.

    Args:
        towers: with classes of their own; changed.
        given: name of a shape -> number of the class that a person has given it.
        num_shapes: that are rendered, at least 2.
    Returns:
        The teacher.
    Raises:
        ValueError: damaged data, settings that do not go together, or other ones than those of the interrupted
            training.
    """
    batch_size = min(settings.batch_size, num_shapes)
    data = UnlabelledSettings(
        data_root=str(place.rendered),
        num_workers=0,
        batch_size=batch_size,
        background=settings.background,
        num_points=settings.num_points,
    )
    augment, bad_samples = AugmentSettings(), BadSampleSettings()
    options = {"given": given, "seed": settings.seed, "pin_memory": device.type == "cuda"}
    loader = open_unlabelled(data, augment, bad_samples, own, towers, **options)
    training = SelfTrainSettings(
        epochs=-(-settings.steps // len(loader)), steps=settings.steps, base_lr=settings.base_lr, seed=settings.seed
    )
    method = own.build_method(towers).to(device)
    recorded = record(own, training, data, augment, bad_samples)
    digest = hashlib.sha256(json.dumps(sorted(given.items())).encode()).hexdigest()
    classes = {"classes": ",".join(towers.class_names)}
    recorded.flags.update(start_origin(own), **classes, **{CORRECTIONS_DIGEST: digest})
    run = RunSettings(exp_name=f"round{place.round}", output_dir=str(place.trainings))
    config = run.folder / CONFIG_FILE
    if config.is_file():
        run = RunSettings(exp_name=run.exp_name, output_dir=run.output_dir, resume=True)
        try:
            check_same(read_config(config)["flags"], recorded, config)
        except ValueError as error:
            raise ValueError(f"{error}; to begin this round anew, delete {run.folder}") from error
    with open_run(run, recorded) as opened:
        for line in [f"{num_shapes} shapes, {len(given)} with a class from a person, on {device}", *method.notes]:
            opened.log.line(line)
        trainer = SelfTraining(opened, training, method, loader, device)
        if run.resume:
            trainer.resume()
        trainer.fit()
    return Adapted(method.teacher.eval(), f"self-trained for {training.epochs * len(loader)} steps, {run.folder}")
