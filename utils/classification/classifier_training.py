"""Fine-tuning for classification: labelled clouds, the network, its training run, its one look at the test split."""

import argparse
import math
from collections.abc import Callable
from dataclasses import fields
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
from models.methods.classification import CloudClassifier
from models.weights.published import export_state, load_encoder, read_weights, stored_origin
from utils import seed
from utils.classification.recipes import Recipe
from utils.evaluation.features import extract_together
from utils.evaluation.frozen_encoder import FrozenEncoder, load_frozen_encoder, size_warning
from utils.evaluation.metrics import overall_accuracy
from utils.run.log import RunLog
from utils.run.provenance import file_sha256
from utils.training import optim
from utils.training.epoch_loader import EpochLoader
from utils.training.loop import Training

MIN_EPOCH_STEPS = 20
_HEAD = "classifier."
# Flags that a weight file and a record hold, beside the recipe's constants.
_RECORDED = (
    "label_fraction", "val_fraction", "frozen", "seed", "num_points", "normalize", "amp",
    *(field.name for field in fields(Recipe)),
)  # fmt: skip


class LabelledRows(NamedTuple):
    """Rows of a train split that are trained on, and those that choose the epoch: empty when the last one is kept."""

    fit: np.ndarray
    val: np.ndarray


def choose_rows(labels: ArrayLike, args: argparse.Namespace) -> LabelledRows:
    """Draw the labelled clouds, then the validation clouds from among them: no other label is ever looked at.

    Args:
        labels: (M,) of the train split.
        args: label_fraction, share of each class that counts as labelled; val_fraction, share of these that is held
            out; seed, of which subsets are nested; select: "val", or "last", which holds nothing out. None takes "val"
            where every class has so many labelled clouds that its share is a whole one, else "last".
    Raises:
        ValueError: a fraction out of range, a single class, or "val" where no class has two labelled clouds.
    """
    labels, select = np.asarray(labels), args.select
    if not 0 < args.label_fraction <= 1:
        raise ValueError(f"--label_fraction must be above 0 and at most 1, got {args.label_fraction}")
    if not 0 < args.val_fraction < 1:
        raise ValueError(f"--val_fraction must lie between 0 and 1, got {args.val_fraction}")
    rows = stratified_subset(labels, args.label_fraction, args.seed)
    counts = np.unique(labels[rows], return_counts=True)[1]
    if len(counts) < 2:
        raise ValueError("the train split has a single class; a classifier needs at least 2")
    if select is None:
        select = "val" if counts.min() >= 1 / args.val_fraction else "last"
    if select == "last":
        return LabelledRows(rows, rows[:0])
    fit, val = stratified_split(labels[rows], val_fraction=args.val_fraction, seed=args.seed)
    if len(val) == 0:
        raise ValueError(
            f"--select val finds nothing to hold out: {len(rows)} labelled clouds, one of each class; pass --select "
            "last or a larger --label_fraction"
        )
    return LabelledRows(rows[fit], rows[val])


def load_start(args: argparse.Namespace, device: torch.device) -> FrozenEncoder:
    """The encoder that training starts from, with what is to be recorded about it; nothing of it is frozen yet.

    Raises:
        FileNotFoundError: no file at --pretrained_path.
        ValueError: it is damaged, of another --model, or does not hold every tensor of the encoder: all are listed.
    """
    flags = {"model_path": args.pretrained_path, "random_init": not args.pretrained_path}
    return load_frozen_encoder(
        argparse.Namespace(**flags, model=args.model, k=args.k, seed=args.seed),
        device,
    )


def build_network(encoder: nn.Module, num_classes: int, args: argparse.Namespace) -> CloudClassifier:
    """The encoder with an untrained classifier, which for one seed is the same whatever the encoder's weights."""
    seed.everything(args.seed)
    return CloudClassifier(encoder, num_classes, dropout=args.dropout, is_frozen=args.frozen)


def plan_epochs(num_clouds: int, args: argparse.Namespace) -> tuple[int, int]:
    """Epochs of a run, and draws in each.

    --epochs are passes over the clouds. --steps are divided into epochs of at least a pass and MIN_EPOCH_STEPS steps,
    in which clouds are drawn in turn: with few labels a pass is a step or two, and each epoch saves a state.
    """
    if not args.steps:
        return args.epochs, num_clouds
    batch_size = fitting_batch(args.batch_size, num_clouds)
    epochs = max(args.steps // max(num_clouds // batch_size, MIN_EPOCH_STEPS), 1)
    return epochs, math.ceil(args.steps / epochs) * batch_size


def build_loader(
    clouds: LabelledClouds, rows: np.ndarray, length: int, args: argparse.Namespace, *, pin_memory: bool
) -> EpochLoader:
    """Shuffled batches of `length` draws from some rows of a split; a batch holds no more clouds than there are."""
    draws = TrainingClouds(clouds, rows, seed=args.seed, length=length, augment=args.augment)
    return EpochLoader(
        draws,
        fitting_batch(args.batch_size, len(rows)),
        seed=args.seed,
        num_workers=args.num_workers,
        pin_memory=pin_memory,
        rank=get_rank(),
        world_size=get_world_size(),
    )


def fitting_batch(batch_size: int, num_clouds: int) -> int:
    """The batch as asked for; where there are fewer clouds, as many of them as processes can share equally.

    Raises:
        ValueError: fewer clouds than processes.
    """
    if batch_size <= num_clouds:
        return batch_size
    if num_clouds < get_world_size():
        raise ValueError(f"{num_clouds} labelled clouds cannot be shared by {get_world_size()} processes; start fewer")
    return num_clouds // get_world_size() * get_world_size()


def opening_lines(
    clouds: LabelledClouds, rows: LabelledRows, loader: EpochLoader, start: FrozenEncoder, args: argparse.Namespace
) -> list[str]:
    """What a run says before it trains, warnings last."""
    chosen = f"{len(rows.val)} choose the epoch" if len(rows.val) else "the last epoch is kept"
    size = loader.batch_size
    lines = [
        f"start: {start.description}{', frozen' if args.frozen else ''}",
        f"{len(clouds)} train clouds, {len(rows.fit)} labelled ones are trained on, {chosen}",
        f"{args.epochs} epochs of {len(loader)} steps of {size} clouds, {'SGD' if args.use_sgd else 'Adam'}, lr "
        f"{args.lr:g} to {args.final_lr:g}",
    ]
    warnings = list(start.warnings)
    if size < args.batch_size:
        warnings.append(f"--batch_size {args.batch_size} is more than there are labelled clouds: batches hold {size}")
    if not args.normalize and (text := size_warning(clouds.points)):
        warnings.append(text)
    return [*lines, *(f"warning: {text}" for text in warnings)]


def load_network(path: str | Path, name: str | None = None) -> tuple[CloudClassifier, dict[str, Any]]:
    """A fine-tuned network, `models/best_model.pth` of a run here, and what the run recorded in it.

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
    path: str | Path, clouds: LabelledClouds, args: argparse.Namespace, *, report: Callable[[str], None]
) -> tuple[CloudClassifier, dict[str, Any]]:
    """`load_network` for these clouds; the network's file is added to what it records.

    Raises:
        As `load_network`, and ValueError: it was trained on other classes.
    """
    network, origin = load_network(path, args.model)
    if origin["class_names"] != list(clouds.class_names):
        raise ValueError(
            f"{path} knows the classes {', '.join(origin['class_names'])}; {clouds.shards[0].parent} has "
            f"{', '.join(clouds.class_names)}"
        )
    for name in ("num_points", "normalize"):
        if origin[name] != getattr(args, name):
            report(f"warning: trained with --{name} {origin[name]}, scored with {getattr(args, name)}")
    digest = file_sha256(Path(path))
    report(f"network: {path}, sha256 {digest}")
    return network, origin | {"network": str(path), "network_sha256": digest}


class ClassifierTraining(Training):
    """One fine-tuning run, its best epoch chosen on validation clouds.

    Args, beside those of Training:
        args: also those of utils.classification.recipes, test_batch_size, model and k.
        method: also has `network`, a CloudClassifier.
        clouds, rows: the train split and which of it is used; without validation clouds the last epoch is kept.
        encoder: what is to be recorded about the encoder training starts from (JSON values).
    """

    def __init__(
        self,
        args: argparse.Namespace,
        run_dir: Path,
        method: nn.Module,
        loader: EpochLoader,
        device: torch.device,
        log: RunLog,
        *,
        clouds: LabelledClouds,
        rows: LabelledRows,
        encoder: dict[str, Any],
    ):
        optimizer = optim.build_optimizer(
            method.parameters(),
            lr=args.lr,
            use_sgd=args.use_sgd,
            momentum=args.momentum,
            weight_decay=args.weight_decay,
        )
        schedule = optim.cosine_schedule(optimizer, args.epochs * len(loader), final=args.final_lr / args.lr)
        super().__init__(
            args, run_dir, method, loader, device, log, optimizer=optimizer, schedule=schedule, amp=args.amp
        )
        self.val_points, self.val_labels = clouds.points[rows.val], clouds.labels[rows.val]
        self.origin = {name: getattr(args, name) for name in _RECORDED} | {
            "protocol": args.recipe,
            "selected_on": "val" if len(rows.val) else "last",
            "num_train": len(rows.fit),
            "num_val": len(rows.val),
            "batch_size": loader.batch_size,
            "steps": args.epochs * len(loader),
            "class_names": list(clouds.class_names),
            **encoder,
        }

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Accuracy on the validation clouds; keeps the best network, of equals the later, or without any the last."""
        if len(self.val_labels) == 0:
            if epoch + 1 == self.args.epochs:
                self._save_weights()
            return {}
        logits = extract_together(self.method.network, self.val_points, batch_size=self.args.test_batch_size)
        accuracy = overall_accuracy(self.val_labels, logits.argmax(axis=1))
        is_best = accuracy >= self.best
        self.log.line(f"epoch {epoch} val  accuracy {accuracy:.4f}{'  best so far' if is_best else ''}")
        if is_best:
            self.best = accuracy
            self._save_weights()
        return {"class/val_accuracy": accuracy}

    def _save_weights(self) -> None:
        network = self.method.network
        state = export_state(network.point_encoder, self.args.model, k=self.args.k)
        state.update({_HEAD + key: value for key, value in network.classifier.state_dict().items()})
        state._metadata["crosspoint"]["classifier"] = self.origin
        self.save_weights(state, "best_model.pth")
