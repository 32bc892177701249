"""Fine-tuning for part segmentation: the training run, its best epoch chosen on held-out clouds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from datasets.parts.shapenet_part import ShapeNetPart
from models.encoders.part_networks import PART_NETWORKS
from models.encoders.registry import EMB_DIMS, MAX_EMB_DIMS, has_graph
from models.methods.part_segmentation import PartSegmentation
from models.weights.published import export_state
from utils.parts.part_scores import PROTOCOLS, PartScore, predict_parts, score_parts
from utils.processes.collectives import gather_rank_rows, is_main_process, rank_rows
from utils.settings import flag
from utils.training.finetuning import FinetuneSettings
from utils.training.loop import Training
from utils.training.optim import FINETUNE_SCHEDULES, build_optimizer, published_finetune_schedule

SGD_FACTOR = 100  # the published SGD runs at 100 times --lr
WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class PartSettings(FinetuneSettings):
    """Optimisation and network of a fine-tuning for part segmentation."""

    lr: float = flag(0.001, "of Adam; SGD starts at 100 times this", above=0)
    scheduler: str = flag("cos", "cosine to 0.001, or halve every 20 epochs", choices=tuple(FINETUNE_SCHEDULES))
    transform_weight: float = flag(
        0.0, "factor of the penalty of T-Nets, summed over the batch (selfsup_pcd: 0.001)", at_least=0
    )
    eval_freq: int = flag(1, "epochs between scores of val; the last always", at_least=1)
    model: str = flag("dgcnn_seg", "the encoder, or PointNet's published network", choices=tuple(PART_NETWORKS))
    emb_dims: int = flag(EMB_DIMS, "width of the encoder's embedding", at_least=1, at_most=MAX_EMB_DIMS)

    @property
    def graph_k(self) -> int | None:
        """Neighbours per point, None for an encoder without a graph."""
        return self.k if has_graph(self.model) else None


class PartSegTraining(Training):
    """One fine-tuning run, its best epoch chosen on validation clouds.

    Args, beside those of Training:
        val: clouds that choose the best epoch; None keeps the last.
        origin: stored with the weights, see utils.parts.part_weights.origin_of.
        test_batch_size: validation clouds per forward pass.
    """

    settings: PartSettings
    method: PartSegmentation

    def __init__(self, *of_training: Any, val: ShapeNetPart | None, origin: dict[str, Any], test_batch_size: int):
        super().__init__(*of_training)
        self.val, self.origin, self.test_batch_size = val, origin, test_batch_size

    def build_optimizer(self) -> tuple[Optimizer, LRScheduler]:
        """Build SGD or Adam, with the published schedule."""
        settings = self.settings
        optimizer = build_optimizer(
            self.method.parameters(),
            lr=settings.lr * SGD_FACTOR if settings.use_sgd else settings.lr,
            use_sgd=settings.use_sgd,
            momentum=settings.momentum,
            weight_decay=WEIGHT_DECAY,
        )
        length = {"epochs": settings.epochs, "steps": len(self.loader)}
        return optimizer, published_finetune_schedule(optimizer, settings.scheduler, **length)

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Score val by the published protocol every `eval_freq` epochs and after the last; keep the best network.

        The best has the highest instance mIoU; without val the last network is kept.
        """
        if (epoch + 1) % self.settings.eval_freq and epoch + 1 < self.settings.epochs:
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
        """Predict the part of every point of val, (M, N), with the clouds divided among the ranks."""
        num_clouds = len(self.val)
        rows = rank_rows(num_clouds)
        if not rows:
            return gather_rank_rows(self.val.part_labels[:0].long(), num_clouds).numpy()
        predictions = predict_parts(
            self.method.network,
            self.val.subset(rows) if len(rows) < num_clouds else self.val,
            batch_size=self.test_batch_size,
            device=self.device,
            progress="val" if is_main_process() else "",
        )
        return gather_rank_rows(torch.from_numpy(predictions[PROTOCOLS[0]]), num_clouds).numpy()

    def _save_weights(self) -> None:
        model, k = self.settings.model, self.settings.graph_k
        weights = export_state(self.method.network, model, k=k, **self.origin)
        self.save_weights(weights, "best_model.pth")


def _figures(score: PartScore) -> str:
    return f"mIoU instance {score.miou_instance:.4f}  class {score.miou_class:.4f}  accuracy {score.accuracy:.4f}"
