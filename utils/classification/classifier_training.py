"""Fine-tuning for classification: labelled clouds, the network, its training run, its file."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.labelled.stratified import stratified_split, stratified_subset
from datasets.labelled.training_clouds import TrainingClouds
from models.distributed import get_rank, get_world_size
from models.methods.classification import Classification, CloudClassifier
from models.weights.published import export_state, load_encoder, stored_origin
from models.weights.weight_file import read_weights
from utils import seed
from utils.classification.recipes import CONSTANTS, ClassifierSettings
from utils.evaluation.features import extract_together
from utils.evaluation.frozen_encoder import EncoderSettings, FrozenEncoder, load_frozen_encoder
from utils.evaluation.labelled_set import LabelledSetSettings, size_warning
from utils.evaluation.metrics import overall_accuracy
from utils.run.folder import Run
from utils.run.provenance import file_sha256
from utils.settings import flag
from utils.training.epoch_loader import EpochLoader
from utils.training.finetuning import LabelFraction
from utils.training.loop import Training
from utils.training.optim import build_optimizer, cosine_schedule

MIN_EPOCH_STEPS = 20
_HEAD = "classifier."
# Flags that a weight file and a record hold, beside the recipe's constants.
_RECORDED = ("label_fraction", "val_fraction", "frozen", "seed", "num_points", "normalize", "amp", *CONSTANTS)


@dataclass(frozen=True)
class LabelSettings(LabelFraction):
    """Which labels are seen, and which of them choose the epoch."""

    val_fraction: float = flag(0.1, "share of the labelled clouds held out", above=0, below=1)
    select: str | None = flag(
        None,
        "the epoch that is kept and tested (default: val where each class has 1 / val_fraction labelled clouds, "
        "else last, which holds none out)",
        choices=("val", "last"),
    )
    num_classes: int | None = flag(None, "refuse a set with another number of classes")


class LabelledRows(NamedTuple):
    """Rows of a train split that are trained on, and those that choose the epoch: none where the last one is kept."""

    fit: np.ndarray
    val: np.ndarray


def choose_rows(labels: ArrayLike, settings: LabelSettings, seed: int) -> LabelledRows:
    """Draw the labelled clouds, then the validation clouds from among them; no other label is ever used.

    Args:
        labels: (M,) of the train split.
        seed: of both draws; the labelled clouds of a smaller fraction are among those of a larger one.
    Raises:
        ValueError: a single class, or --select val where no class has two labelled clouds.
    """
    labels, select = np.asarray(labels), settings.select
    rows = stratified_subset(labels, settings.label_fraction, seed)
    counts = np.unique(labels[rows], return_counts=True)[1]
    if len(counts) < 2:
        raise ValueError("the train split has a single class; a classifier needs at least 2")
    if select is None:
        select = "val" if counts.min() >= 1 / settings.val_fraction else "last"
    if select == "last":
        return LabelledRows(rows, rows[:0])
    fit, val = stratified_split(labels[rows], val_fraction=settings.val_fraction, seed=seed)
    if len(val) == 0:
        raise ValueError(
            f"--select val finds nothing to hold out: {len(rows)} labelled clouds, one of each class; pass --select "
            "last or a larger --label_fraction"
        )
    return LabelledRows(rows[fit], rows[val])


def load_start(settings: ClassifierSettings, pretrained_path: str, device: torch.device) -> FrozenEncoder:
    """Load the encoder that training starts from, an untrained one without `pretrained_path`; nothing is frozen yet.

    Raises:
        FileNotFoundError: no file at --pretrained_path.
        ValueError: it is damaged, of another --model, or does not hold every tensor of the encoder: all are listed.
    """
    encoder = EncoderSettings(
        model_path=pretrained_path or None,
        random_init=not pretrained_path,
        model=settings.model,
        k=settings.k,
        seed=settings.seed,
    )
    return load_frozen_encoder(encoder, device)


def build_network(encoder: nn.Module, num_classes: int, settings: ClassifierSettings) -> CloudClassifier:
    """Put an untrained classifier on the encoder: for one seed the same one, whatever the encoder's weights."""
    seed.everything(settings.seed)
    return CloudClassifier(encoder, num_classes, dropout=settings.dropout, is_frozen=settings.frozen)


def plan_epochs(num_clouds: int, settings: ClassifierSettings) -> tuple[int, int]:
    """Return the epochs of a run, and the draws in each.

    --epochs are passes over the clouds. --steps are divided into epochs of at least a pass and MIN_EPOCH_STEPS steps,
    in which clouds are drawn in turn: with few labels a pass is a step or two, and every epoch writes a state.
    """
    if not settings.steps:
        return settings.epochs, num_clouds
    batch_size = fitting_batch(settings.batch_size, num_clouds)
    epochs = max(settings.steps // max(num_clouds // batch_size, MIN_EPOCH_STEPS), 1)
    return epochs, math.ceil(settings.steps / epochs) * batch_size


def build_loader(
    clouds: LabelledClouds, rows: np.ndarray, length: int, settings: ClassifierSettings, *, pin_memory: bool
) -> EpochLoader:
    """Build shuffled batches of `length` draws from some rows of a split; a batch holds at most all of them."""
    draws = TrainingClouds(clouds, rows, seed=settings.seed, length=length, augment=settings.augment)
    return EpochLoader(
        draws,
        fitting_batch(settings.batch_size, len(rows)),
        seed=settings.seed,
        num_workers=settings.num_workers,
        pin_memory=pin_memory,
        rank=get_rank(),
        world_size=get_world_size(),
    )


def fitting_batch(batch_size: int, num_clouds: int) -> int:
    """Return `batch_size`, or where there are fewer clouds as many of them as the ranks can share equally.

    Raises:
        ValueError: fewer clouds than ranks.
    """
    if batch_size <= num_clouds:
        return batch_size
    if num_clouds < get_world_size():
        raise ValueError(f"{num_clouds} labelled clouds cannot be shared by {get_world_size()} processes; start fewer")
    return num_clouds // get_world_size() * get_world_size()


def opening_lines(
    clouds: LabelledClouds,
    rows: LabelledRows,
    loader: EpochLoader,
    start: FrozenEncoder,
    settings: ClassifierSettings,
    *,
    normalize: bool,
) -> list[str]:
    """Describe a run before it trains, warnings last.

    Args:
        settings: with the epochs planned.
        normalize: whether the clouds are scaled to the unit sphere.
    """
    chosen = f"{len(rows.val)} choose the epoch" if len(rows.val) else "the last epoch is kept"
    size = loader.batch_size
    lines = [
        f"start: {start.description}{', frozen' if settings.frozen else ''}",
        f"{len(clouds)} train clouds, {len(rows.fit)} labelled ones are trained on, {chosen}",
        f"{settings.epochs} epochs of {len(loader)} steps of {size} clouds, {'SGD' if settings.use_sgd else 'Adam'}, "
        f"lr {settings.lr:g} to {settings.final_lr:g}",
    ]
    warnings = list(start.warnings)
    if size < settings.batch_size:
        asked = f"--batch_size {settings.batch_size}"
        warnings.append(f"{asked} is more than there are labelled clouds: batches hold {size}")
    if not normalize and (text := size_warning(clouds.points)):
        warnings.append(text)
    return [*lines, *(f"warning: {text}" for text in warnings)]


def load_network(path: str | Path, name: str | None = None) -> tuple[CloudClassifier, dict[str, Any]]:
    """Load a fine-tuned network, `models/best_model.pth` of a run here, and what the run recorded in it.

    Args:
        name: the encoder expected; None takes whichever the file holds.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, of another encoder, or without a classifier.
    """
    state = read_weights(path)
    head = {key.removeprefix(_HEAD): value for key, value in state.items() if key.startswith(_HEAD)}
    origin = stored_origin(state).get("classifier")
    if not head or origin is None:
        raise ValueError(
            f"{path} holds no classifier; expected models/best_model.pth of a run of scripts.finetune_cls. To train "
            "one on these weights pass them as --pretrained_path"
        )
    network = CloudClassifier(load_encoder(path, name).encoder, len(origin["class_names"]))
    network.classifier.load_state_dict(head)
    return network, origin


def load_for_test(
    path: str | Path,
    name: str | None,
    clouds: LabelledClouds,
    labelled: LabelledSetSettings,
    *,
    report: Callable[[str], None],
) -> tuple[CloudClassifier, dict[str, Any]]:
    """Load a network as `load_network` does, check that it fits the clouds, and add its file to what it recorded.

    Args:
        clouds: a split of `labelled`.
        report: called with a warning where the clouds are read otherwise than in training.
    Raises:
        As `load_network`, and ValueError: it was trained on other classes.
    """
    network, origin = load_network(path, name)
    if origin["class_names"] != list(clouds.class_names):
        raise ValueError(
            f"{path} knows the classes {', '.join(origin['class_names'])}; {clouds.shards[0].parent} has "
            f"{', '.join(clouds.class_names)}"
        )
    for flag_name in ("num_points", "normalize"):
        trained, now = origin[flag_name], getattr(labelled, flag_name)
        if trained != now:
            report(f"warning: trained with --{flag_name} {trained}, scored with {now}")
    digest = file_sha256(Path(path))
    report(f"network: {path}, sha256 {digest}")
    return network, origin | {"network": str(path), "network_sha256": digest}


class ClassifierTraining(Training):
    """One fine-tuning run, its best epoch chosen on validation clouds.

    Args, beside those of Training:
        run: its record also holds the flags of the labels and of the labelled set.
        settings: with `model` and `epochs` as resolved.
        clouds, rows: the train split and which of it is used; without validation clouds the last epoch is kept.
        encoder: what records say of the encoder that training starts from (JSON values).
        test_batch_size: validation clouds per forward pass.
    """

    settings: ClassifierSettings
    method: Classification

    def __init__(
        self,
        run: Run,
        settings: ClassifierSettings,
        method: Classification,
        loader: EpochLoader,
        device: torch.device,
        *,
        clouds: LabelledClouds,
        rows: LabelledRows,
        encoder: dict[str, Any],
        test_batch_size: int,
    ):
        optimizer = build_optimizer(
            method.parameters(),
            lr=settings.lr,
            use_sgd=settings.use_sgd,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        num_steps = settings.epochs * len(loader)
        schedule = cosine_schedule(optimizer, num_steps, final=settings.final_lr / settings.lr)
        super().__init__(
            run, settings, method, loader, device, optimizer=optimizer, schedule=schedule, amp=settings.amp
        )
        self.val_points, self.val_labels = clouds.points[rows.val], clouds.labels[rows.val]
        self.test_batch_size = test_batch_size
        self.origin = {name: run.record.flags[name] for name in _RECORDED} | {
            "protocol": settings.recipe,
            "selected_on": "val" if len(rows.val) else "last",
            "num_train": len(rows.fit),
            "num_val": len(rows.val),
            "batch_size": loader.batch_size,
            "steps": num_steps,
            "class_names": list(clouds.class_names),
            **encoder,
        }

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Score the validation clouds; keep the best network (of equals the later), or without any the last."""
        if len(self.val_labels) == 0:
            if epoch + 1 == self.settings.epochs:
                self._save_weights()
            return {}
        logits = extract_together(self.method.network, self.val_points, batch_size=self.test_batch_size)
        accuracy = overall_accuracy(self.val_labels, logits.argmax(axis=1))
        is_best = accuracy >= self.best
        self.log.line(f"epoch {epoch} val  accuracy {accuracy:.4f}{'  best so far' if is_best else ''}")
        if is_best:
            self.best = accuracy
            self._save_weights()
        return {"class/val_accuracy": accuracy}

    def _save_weights(self) -> None:
        network = self.method.network
        state = export_state(network.point_encoder, self.settings.model, k=self.settings.k)
        state.update({_HEAD + key: value for key, value in network.classifier.state_dict().items()})
        state._metadata["crosspoint"]["classifier"] = self.origin
        self.save_weights(state, "best_model.pth")
