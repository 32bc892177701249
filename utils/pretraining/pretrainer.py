"""Pre-training: held-out monitoring, best model, copies of the encoder under published names."""

import argparse
from pathlib import Path

import torch
from torch import nn

from models.weights.published import export_state
from utils.pretraining.monitor import Monitor
from utils.run.log import RunLog
from utils.training import optim
from utils.training.engine import Batches, BatchTransform
from utils.training.loop import Training


class Pretrainer(Training):
    """One run of a pre-training method over a data set.

    Args, beside those of Training:
        args: also lr, use_sgd, momentum, amp, micro_batch, save_freq, eval_freq, model and k.
        method: also has `point_encoder`, `point_head`, `image_encoder` and `image_head`.
        monitor: encoder -> accuracy on data held out of train, or None for no monitoring.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        run_dir: Path,
        method: nn.Module,
        loader: Batches,
        device: torch.device,
        log: RunLog,
        monitor: Monitor | None,
        transform: BatchTransform | None = None,
    ):
        optimizer = optim.build_optimizer(method.parameters(), lr=args.lr, use_sgd=args.use_sgd, momentum=args.momentum)
        schedule = optim.cosine_schedule(optimizer, args.epochs * len(loader))
        super().__init__(
            args,
            run_dir,
            method,
            loader,
            device,
            log,
            optimizer=optimizer,
            schedule=schedule,
            amp=args.amp,
            micro_batch=args.micro_batch,
            transform=transform,
        )
        self.monitor = monitor

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Held-out accuracy when it is due; keeps the best model, and copies when they are."""
        scores = self._monitor(epoch)
        if self.args.save_freq and epoch % self.args.save_freq == 0:
            self._save_weights(f"ckpt_epoch_{epoch}.pth")
        if epoch + 1 == self.args.epochs:
            self._save_weights("ckpt_epoch_last.pth", "img_model_last.pth")
        return scores

    def _monitor(self, epoch: int) -> dict[str, float]:
        """Accuracy on held-out data when it is due; keeps the best model."""
        is_last = epoch + 1 == self.args.epochs
        if self.monitor is None:
            self._save_weights("best_model.pth", "img_model_best.pth")
            return {}
        if (epoch + 1) % self.args.eval_freq and not is_last:
            return {}
        scores = self.monitor(self.method.point_encoder)
        score = next(iter(scores.values()))
        is_best = score > self.best
        text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self.log.line(f"epoch {epoch} held-out val  {text}{'  best so far' if is_best else ''}")
        if is_best:
            self.best = score
            self._save_weights("best_model.pth", "img_model_best.pth")
        return scores

    def _save_weights(self, point_name: str, image_name: str | None = None) -> None:
        method = self.method
        weights = export_state(method.point_encoder, self.args.model, method.point_head, k=self.args.k)
        self.save_weights(weights, point_name)
        if image_name is not None:
            head = {f"inv_head.{key}": value for key, value in method.image_head.state_dict().items()}
            self.save_weights(method.image_encoder.state_dict() | head, image_name)
