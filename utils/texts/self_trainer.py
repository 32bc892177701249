"""The training loop of a cross-modal self-training: its optimiser, and the towers that are kept of the last epoch."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from models.methods.cross_modal_self_training import CrossModalSelfTraining
from models.methods.masked_towers import mask_grid
from utils.run.log import WANDB_MODES
from utils.settings import flag
from utils.training.engine import AMP_DTYPES
from utils.training.loop import LoopSettings, Training

FULL_BATCH = 256  # shapes a step for which rates are stated
LEAST_LR = 1e-6  # at the end, stated likewise
BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class SelfTrainSettings(LoopSettings):
    """Optimisation and reports; the defaults are published."""

    steps: int | None = flag(None, "optimiser steps in all, in place of --epochs; whole epochs, rounded up", at_least=1)
    base_lr: float = flag(2e-5, f"rate at {FULL_BATCH} shapes a step; times --batch_size / {FULL_BATCH}", above=0)
    warmup_epochs: float = flag(1.0, "over which the rate grows", at_least=0)
    layer_decay: float = flag(0.65, "of rates, block by block from the last of CLIP's images", above=0, at_most=1)
    weight_decay: float = flag(0.05, "of AdamW, for matrices", at_least=0)
    amp: str = flag("none", "autocast; losses stay float32", choices=tuple(AMP_DTYPES))
    save_freq: int = flag(0, "epochs between kept copies of student and teacher; 0: none", at_least=0, is_free=True)
    wandb: str = flag("off", "Weights & Biases", choices=WANDB_MODES, is_free=True)


class SelfTraining(Training):
    """One run of CrossModalSelfTraining. No score chooses a model: the last of student and teacher are kept."""

    settings: SelfTrainSettings
    method: CrossModalSelfTraining

    def build_optimizer(self) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Build AdamW, with lower rates for early blocks of CLIP's images, and warm-up and cosine over all steps."""
        own, factor = self.settings, self.loader.batch_size / FULL_BATCH
        groups = rate_groups(self.method, own.base_lr * factor, own.layer_decay, own.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=own.base_lr * factor, betas=BETAS, eps=1e-8)
        total = own.epochs * len(self.loader)
        warmup = min(round(own.warmup_epochs * len(self.loader)), total)
        least = min(LEAST_LR / own.base_lr, 1.0)
        return optimizer, LambdaLR(optimizer, lambda step: warm_cosine(step, warmup, total, least))

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Keep student and teacher of the last epoch, and copies when they are due."""
        own, weights = self.settings, self.method.weights()
        if epoch + 1 == own.epochs:
            self.save_weights(weights["point"], "ckpt_epoch_last.pth")
            self._keep(weights, "last")
        elif own.save_freq and (epoch + 1) % own.save_freq == 0:
            self._keep(weights, f"epoch_{epoch}")
        shares = self.method.take_counts()
        trusted = ", ".join(f"{key.rpartition('_')[2]} {100 * share:.1f} %" for key, share in shares.items())
        self.log.line(f"epoch {epoch} trusted labels: {trusted}")
        return shares

    def _keep(self, weights: dict, suffix: str) -> None:
        for name in ("student", "teacher"):
            self.save_weights(weights[name], f"{name}_{suffix}.pth")


def warm_cosine(step: int, warmup: int, total: int, least: float) -> float:
    """Return the factor of the rate at a step, from 0: up over `warmup` steps to 1, then along a cosine to `least`."""
    if step < warmup:
        return (step + 1) / warmup
    share = min((step - warmup) / max(total - warmup, 1), 1.0)
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * share))


def rate_groups(method: CrossModalSelfTraining, lr: float, layer_decay: float, weight_decay: float) -> list[dict]:
    """Group the parameters that learn by their rate, and by whether they decay, which vectors and scalars do not.

    Block i of L of CLIP's images has the rate lr * layer_decay^(L - i), what comes before its blocks lr *
    layer_decay^(L + 1), and all other parts lr: a group of that rate is the first.
    """
    depth_of = dict(_depths(method.student.image_encoder))
    groups: dict[tuple[int, bool], dict] = {}
    for parameter in method.parameters():
        if not parameter.requires_grad:
            continue
        depth, decays = depth_of.get(parameter, 0), parameter.ndim > 1
        rate, decay = lr * layer_decay**depth, weight_decay if decays else 0.0
        empty = {"params": [], "lr": rate, "weight_decay": decay}
        groups.setdefault((depth, decays), empty)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def _depths(images: nn.Module) -> Iterable[tuple[nn.Parameter, int]]:
    """Yield the parameters of CLIP's images that come before the last norm, with their distance from it."""
    if not mask_grid(images):
        return
    visual = images.visual
    blocks = list(visual.transformer.resblocks)
    for number, block in enumerate(blocks):
        yield from ((parameter, len(blocks) - number) for parameter in block.parameters())
    first = [visual.class_embedding, visual.positional_embedding]
    for part in (visual.conv1, visual.ln_pre):
        first += part.parameters()
    yield from ((parameter, len(blocks) + 1) for parameter in first)
