"""What every training loop here does: epochs, exact resume, and a clear stop when the loss is no number."""

import argparse
import time
from abc import ABC, abstractmethod
from pathlib import Path

import torch
from torch import nn

from utils import checkpoint, run
from utils.allocator import release_free_pages
from utils.engine import BatchTransform, NonFiniteLoss, Precision, train_one_epoch
from utils.loader import EpochLoader
from utils.log import RunLog
from utils.run_metrics import try_draw_curves


class Training(ABC):
    """One run of a method over a data set; sub-classes say what follows an epoch.

    Args:
        args: epochs, print_freq and the rest of the flags, recorded in every state.
        run_dir: where states and weights go.
        method: batch -> named loss terms.
        loader: batches by epoch; its data set names the files of an item.
        optimizer, schedule: over the method's parameters; the schedule moves once a step.
        amp: autocast, a key of AMP_DTYPES.
        micro_batch: samples whose activations are in memory at once; 0 takes the whole batch.
        transform: of batches on the device, see utils.engine.
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
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        amp: str = "none",
        micro_batch: int = 0,
        transform: BatchTransform | None = None,
    ):
        self.args, self.run_dir, self.method, self.loader = args, run_dir, method, loader
        self.device, self.log = device, log
        self.optimizer, self.schedule = optimizer, schedule
        self.precision = Precision.from_name(amp, device)
        self.micro_batch = micro_batch
        self.transform = transform
        self.next_epoch = 0
        self.seconds = 0.0  # of training and held-out scoring so far, over all sessions of the run
        self.best = float("-inf")

    @abstractmethod
    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Score and keep the model of an epoch that has just ended; the scores go to the run's metrics."""

    def resume(self) -> None:
        """Continue from the run's last state.

        Raises:
            FileNotFoundError: there is none.
            ValueError: damaged, of another method, of other settings, or of another number of samples.
        """
        state = checkpoint.load_state(self.run_dir)
        run.check_same(state["config"], vars(self.args), self.run_dir / checkpoint.STATE_FILE)
        if state.get("num_samples", len(self.loader.dataset)) != len(self.loader.dataset):
            packed = getattr(self.args, "packed", None)
            source = f"--packed {packed}" if packed else f"--data_root {self.args.data_root}"
            raise ValueError(
                f"{self.run_dir} was trained on {state['num_samples']} samples, {source} holds "
                f"{len(self.loader.dataset)}: resume on the same data, or start anew under another --exp_name"
            )
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
        self.seconds = state.get("seconds", 0.0)
        run.add_session(self.run_dir, vars(self.args))
        self.log.line(f"resumed at epoch {self.next_epoch}")

    def fit(self) -> None:
        """Train the remaining epochs, then draw the run's curves.

        Raises:
            ValueError: the loss or its gradient became NaN or infinite; the message names step, terms, files and the
                saved state.
        """
        for epoch in range(self.next_epoch, self.args.epochs):
            start = time.perf_counter()
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
                    micro_batch=self.micro_batch,
                    transform=self.transform,
                )
            except NonFiniteLoss as error:
                raise ValueError(self._explain(error, epoch)) from error
            scores = self.after_epoch(epoch)
            self.seconds += time.perf_counter() - start
            self.log.metrics({"epoch": epoch, **means, **scores, "hours": self.seconds / 3600})
            self.next_epoch = epoch + 1
            checkpoint.save_atomically(self._state(), self.run_dir / checkpoint.STATE_FILE)
            release_free_pages()
        try_draw_curves(self.run_dir, self.log.line)

    def _state(self) -> dict:
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "rng": checkpoint.rng_state(),
            "next_epoch": self.next_epoch,
            "best": self.best,
            "seconds": self.seconds,
            "num_samples": len(self.loader.dataset),
            "config": vars(self.args),
            "provenance": checkpoint.provenance(),
        }

    def _explain(self, error: NonFiniteLoss, epoch: int) -> str:
        """Save the state as it is and say what led to the failure; the failed step has moved no weight."""
        path = self.run_dir / "nonfinite.pt"
        checkpoint.save_atomically(self._state() | {"failed_batch": error.indices, "failed_step": error.step}, path)
        files = "\n  ".join(self.loader.dataset.files(index) for index in error.indices)
        remedy = "a lower --lr" if self.precision.dtype is None else "a lower --lr or --amp none"
        last = self.run_dir / checkpoint.STATE_FILE
        before = f"the last whole epoch is in {last}" if last.is_file() else "no epoch was finished before"
        return (
            f"the loss or its gradient became non-finite in epoch {epoch}, step {error.step}: {error.terms}. The "
            f"weights before that step are in {path} (BatchNorm's running statistics include it); {before}. Try "
            f"{remedy}, and check this batch:\n  {files}"
        )
