"""Fine-tuning for part segmentation: the training run, its best epoch chosen on held-out clouds."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from datasets.parts.shapenet_part import ShapeNetPart
from models.weights.published import export_state
from utils.parts.part_scores import PROTOCOLS, PartScore, predict_parts, score_parts
from utils.processes.collectives import gather_rank_rows, is_main_process, rank_rows
from utils.run.log import RunLog
from utils.training import optim
from utils.training.epoch_loader import EpochLoader
from utils.training.loop import Training

SGD_FACTOR = 100  # the published SGD runs at 100 times --lr
WEIGHT_DECAY = 1e-4


class PartSegTraining(Training):
    """One fine-tuning run, its best epoch chosen on validation clouds.

    Args, beside those of Training:
        args: also lr, use_sgd, momentum, scheduler, test_batch_size, eval_freq, model and k.
        method: also has `network`.
        val: clouds that choose the best epoch; None keeps the last.
        origin: travels with the weights, see utils.parts.part_weights.origin_of.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        run_dir: Path,
        method: nn.Module,
        loader: EpochLoader,
        device: torch.device,
        log: RunLog,
        val: ShapeNetPart | None,
        origin: dict[str, Any],
    ):
        optimizer = optim.build_optimizer(
            method.parameters(),
            lr=args.lr * SGD_FACTOR if args.use_sgd else args.lr,
            use_sgd=args.use_sgd,
            momentum=args.momentum,
            weight_decay=WEIGHT_DECAY,
        )
        schedule = optim.published_finetune_schedule(optimizer, args.scheduler, epochs=args.epochs, steps=len(loader))
        super().__init__(args, run_dir, method, loader, device, log, optimizer=optimizer, schedule=schedule)
        self.val = val
        self.origin = origin

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Instance mIoU by the published protocol on val; keeps the best network, or without val the last.

        In every `eval_freq`-th epoch and in the last.
        """
        if (epoch + 1) % self.args.eval_freq and epoch + 1 < self.args.epochs:
            return {}
        if self.val is None:
            self._save_weights()
            return {}
        score = score_parts(self.val, {PROTOCOLS[0]: self._predict_val()})[0]
        is_best = score.miou_instance > self.best
        self.log.line(f"epoch {epoch} val  {_figures(score)}{'  best so far' if is_best else ''}")
        if is_best:
            self.best = score.miou_instance
            self._save_weights()
        return {
            "part_seg/val_miou_instance": score.miou_instance,
            "part_seg/val_miou_class": score.miou_class,
            "part_seg/val_accuracy": score.accuracy,
        }

    def _predict_val(self) -> np.ndarray:
        """Most likely part of every point of val, (M, N), each cloud by one of the processes."""
        num_clouds = len(self.val)
        rows = rank_rows(num_clouds)
        if not rows:
            return gather_rank_rows(self.val.part_labels[:0].long(), num_clouds).numpy()
        predictions = predict_parts(
            self.method.network,
            self.val.subset(rows) if len(rows) < num_clouds else self.val,
            batch_size=self.args.test_batch_size,
            device=self.device,
            progress="val" if is_main_process() else "",
        )
        return gather_rank_rows(torch.from_numpy(predictions[PROTOCOLS[0]]), num_clouds).numpy()

    def _save_weights(self) -> None:
        graph = None if self.args.model == "pointnet" else self.args.k
        weights = export_state(self.method.network, self.args.model, k=graph, **self.origin)
        self.save_weights(weights, "best_model.pth")


def _figures(score: PartScore) -> str:
    return f"mIoU instance {score.miou_instance:.4f}  class {score.miou_class:.4f}  accuracy {score.accuracy:.4f}"
