"""Fine-tuning for classification: the network, the length of its epochs, the training run."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.labelled.training_clouds import TrainingClouds
from models.distributed import get_world_size
from models.methods.classification import Classification, CloudClassifier
from utils import seed
from utils.classification.classifier_weights import classifier_state
from utils.classification.labelled_rows import LabelledRows
from utils.classification.recipes import CONSTANTS, ClassifierSettings
from utils.evaluation.features import extract_together
from utils.evaluation.frozen_encoder import EncoderSettings, FrozenEncoder, load_frozen_encoder
from utils.evaluation.labelled_set import size_warning
from utils.evaluation.metrics import overall_accuracy
from utils.inference.input_transform import describe_training_clouds
from utils.training.epoch_loader import EpochLoader
from utils.training.loop import Training
from utils.training.optim import STEP_WORDS, build_optimizer, cosine_schedule, set_norm_momentum, step_schedule

MIN_EPOCH_STEPS = 20
# Flags that a weight file and a record hold, beside the recipe's constants.
_RECORDED = ("label_fraction", "val_fraction", "frozen", "seed", "num_points", "normalize", "amp", *CONSTANTS)


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
        emb_dims=settings.emb_dims,
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
    clouds: LabelledClouds, rows: np.ndarray, length: int, settings: ClassifierSettings, device: torch.device
) -> EpochLoader:
    """Build shuffled batches of `length` draws from some rows of a split; a batch holds at most all of them."""
    augmentation = {"augment": settings.augment, "kind": settings.augment_kind}
    draws = TrainingClouds(clouds, rows, seed=settings.seed, length=length, **augmentation)
    return EpochLoader.of_rank(draws, settings, device, batch_size=fitting_batch(settings.batch_size, len(rows)))


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
    rate = STEP_WORDS if settings.scheduler == "step" else f"to {settings.final_lr:g}"
    lines = [
        f"start: {start.description}{', frozen' if settings.frozen else ''}",
        f"{len(clouds)} train clouds, {len(rows.fit)} labelled ones are trained on, {chosen}",
        f"{settings.epochs} epochs of {len(loader)} steps of {size} clouds, {'SGD' if settings.use_sgd else 'Adam'}, "
        f"lr {settings.lr:g} {rate}",
    ]
    warnings = list(start.warnings)
    if size < settings.batch_size:
        asked = f"--batch_size {settings.batch_size}"
        warnings.append(f"{asked} is more than there are labelled clouds: batches hold {size}")
    if not normalize and (text := size_warning(clouds.points)):
        warnings.append(text)
    return [*lines, *(f"warning: {text}" for text in warnings)]


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
        *of_training: Any,
        clouds: LabelledClouds,
        rows: LabelledRows,
        encoder: dict[str, Any],
        test_batch_size: int,
    ):
        super().__init__(*of_training)
        self.val_points, self.val_labels = clouds.points[rows.val], clouds.labels[rows.val]
        self.test_batch_size = test_batch_size
        self.clouds = describe_training_clouds(clouds.points.numpy(), normalize=self.run.record.flags["normalize"])
        self.origin = {name: self.run.record.flags[name] for name in _RECORDED} | {
            "protocol": self.settings.recipe,
            "selected_on": "val" if len(rows.val) else "last",
            "num_train": len(rows.fit),
            "num_val": len(rows.val),
            "batch_size": self.loader.batch_size,
            "steps": self.settings.epochs * len(self.loader),
            "class_names": list(clouds.class_names),
            **encoder,
        }

    def build_optimizer(self) -> tuple[Optimizer, LRScheduler]:
        """Build SGD or Adam, with the cosine from --lr to --final_lr over all steps, or its rate in steps of epochs."""
        settings = self.settings
        optimizer = build_optimizer(
            self.method.parameters(),
            lr=settings.lr,
            use_sgd=settings.use_sgd,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        steps, final = len(self.loader), settings.final_lr / settings.lr
        if settings.scheduler == "step":
            return optimizer, step_schedule(optimizer, steps, final)
        return optimizer, cosine_schedule(optimizer, settings.epochs * steps, final=final)

    def before_epoch(self, epoch: int) -> None:
        """Set the momentum of BatchNorm for the epoch, where the recipe has it decay."""
        if self.settings.bn_decay:
            set_norm_momentum(self.method, epoch)

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
        state = classifier_state(self.method.network, self.settings.model, self.settings.k, self.origin, self.clouds)
        self.save_weights(state, "best_model.pth")
