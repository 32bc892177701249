"""The pre-training loop: epochs, held-out monitoring, best model, resumable state."""

import argparse
from pathlib import Path

import torch
from torch import nn

from models.published import export_state
from utils import checkpoint, optim
from utils.engine import NonFiniteLoss, Precision, train_one_epoch
from utils.loader import EpochLoader
from utils.log import RunLog
from utils.memory import release_free_pages
from utils.monitor import Monitor


class Pretraining:
    """One run of a method over a data set.

    Args:
        args: epochs, lr, use_sgd, momentum, amp, print_freq, save_freq, eval_freq, model, k and the rest of the
            flags, recorded in every state.
        run_dir: where states and weights go.
        method: with `point_encoder`, `point_head`, `image_encoder`, `image_head`; batch -> named loss terms.
        loader: batches by epoch.
        monitor: encoder -> accuracy on data held out of train, or None for no monitoring.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        run_dir: Path,
        method: nn.Module,
        loader: EpochLoader,
        device: torch.device,
        log: RunLog,
        monitor: Monitor | None,
    ):
        self.args, self.run_dir, self.method, self.loader = args, run_dir, method, loader
        self.device, self.log, self.monitor = device, log, monitor
        self.optimizer = optim.build_optimizer(
            method.parameters(), lr=args.lr, use_sgd=args.use_sgd, momentum=args.momentum
        )
        self.schedule = optim.cosine_schedule(self.optimizer, args.epochs * len(loader))
        self.precision = Precision.from_name(args.amp, device)
        self.next_epoch = 0
        self.best = float("-inf")

    def resume(self) -> None:
        """Continue from the run's last state.

        Raises:
            FileNotFoundError: there is none.
            ValueError: damaged, or of another method.
        """
        state = checkpoint.load_state(self.run_dir)
        try:
            self.method.load_state_dict(state["method"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            path = self.run_dir / checkpoint.STATE_FILE
            raise ValueError(f"{path} is the state of another network: {error}") from error
        self.schedule.load_state_dict(state["schedule"])
        self.precision.scaler.load_state_dict(state["scaler"])
        checkpoint.restore_rng(state["rng"])
        self.next_epoch, self.best = state["next_epoch"], state["best"]
        self.log.line(f"resumed at epoch {self.next_epoch}")

    def fit(self) -> None:
        """Train the remaining epochs.

        Raises:
            ValueError: the loss became NaN or infinite; the message names step, terms, files and the saved state.
        """
        for epoch in range(self.next_epoch, self.args.epochs):
            try:
                means = train_one_epoch(
                    self.method,
                    self.loader,
                    self.optimizer,
                    self.schedule,
                    epoch=epoch,
                    device=self.device,
                    precision=self.precision,
                    report=self.log.line,
                    print_freq=self.args.print_freq,
                )
            except NonFiniteLoss as error:
                raise ValueError(self._explain(error, epoch)) from error
            means |= self._monitor(epoch)
            self.log.metrics({"epoch": epoch, **means})
            self._save(epoch)
            release_free_pages()

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
        folder = self.run_dir / "models"
        method = self.method
        weights = export_state(method.point_encoder, self.args.model, method.point_head, k=self.args.k)
        checkpoint.save_atomically(weights, folder / point_name)
        if image_name is not None:
            head = {f"inv_head.{key}": value for key, value in method.image_head.state_dict().items()}
            checkpoint.save_atomically(method.image_encoder.state_dict() | head, folder / image_name)

    def _save(self, epoch: int) -> None:
        self.next_epoch = epoch + 1
        if self.args.save_freq and epoch % self.args.save_freq == 0:
            self._save_weights(f"ckpt_epoch_{epoch}.pth")
        if self.next_epoch == self.args.epochs:
            self._save_weights("ckpt_epoch_last.pth", "img_model_last.pth")
        checkpoint.save_atomically(self._state(), self.run_dir / checkpoint.STATE_FILE)

    def _state(self) -> dict:
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "rng": checkpoint.rng_state(),
            "next_epoch": self.next_epoch,
            "best": self.best,
            "config": vars(self.args),
            "provenance": checkpoint.provenance(),
        }

    def _explain(self, error: NonFiniteLoss, epoch: int) -> str:
        """Save the state as it is and say what led to the failure."""
        path = self.run_dir / "nonfinite.pt"
        checkpoint.save_atomically(self._state() | {"failed_batch": error.indices, "failed_step": error.step}, path)
        files = "\n  ".join(self.loader.dataset.files(index) for index in error.indices)
        return (
            f"the loss became non-finite in epoch {epoch}, step {error.step}: {error.terms}. The state before it "
            f"is in {path}; the last whole epoch is in {checkpoint.STATE_FILE}. Try a lower --lr or --amp none, and "
            f"check this batch:\n  {files}"
        )
