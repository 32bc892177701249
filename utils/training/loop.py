"""The training loop of every method: epochs, exact resume, and a clear stop when the loss is not a number."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.distributed import get_rank, get_world_size
from models.methods.method import Method
from utils.figures.run_curves import try_draw_curves
from utils.files import appears, version
from utils.processes.allocator import release_free_pages
from utils.processes.collectives import barrier, gather_objects, is_main_process, seed_rank
from utils.processes.stop import Stopped, StopRequest
from utils.run.folder import Run, add_session, check_same
from utils.run.names import MODELS_FOLDER, NONFINITE_FILE, STATE_FILE
from utils.run.provenance import provenance
from utils.run.replaced import discard
from utils.run.run_note import note_run
from utils.run.state import (
    has_state,
    load_state,
    restore_rng,
    rng_state,
    save_atomically,
    save_state,
    set_aside_damaged,
)
from utils.settings import Settings, flag
from utils.training.bad_samples import BadSamples
from utils.training.data_order import order_digest
from utils.training.engine import (
    Batches,
    BatchTransform,
    NonFiniteLoss,
    Precision,
    Progress,
    Stepper,
    StepResult,
    train_one_epoch,
)


@dataclass(frozen=True)
class LoopSettings(Settings):
    """Length, seed, reports and states of a training.

    Trainings with a flag for them override `amp`, a key of AMP_DTYPES, and `micro_batch`, the samples whose activations
    are in memory at once, 0 for the whole batch.
    """

    amp = "none"
    micro_batch = 0
    epochs: int = flag(help="passes over the data", at_least=1)
    seed: int = flag(1, "weights, data order and augmentations")
    print_freq: int = flag(50, "steps between log lines", at_least=1, is_free=True)
    save_every_steps: int = flag(
        0, "optimiser steps between states, beside one each epoch; 0: none", at_least=0, is_free=True
    )


class Training(ABC):
    """One run of a method over a data set; subclasses say what follows an epoch.

    Args:
        run: folder and log; its record goes into every state.
        loader: batches by epoch; its `dataset` names the files of an item.
        transform: of batches on the device, see engine.py.
        max_bad_rate: share of unreadable samples that ends the run.
    """

    def __init__(
        self,
        run: Run,
        settings: LoopSettings,
        method: Method,
        loader: Batches,
        device: torch.device,
        *,
        transform: BatchTransform | None = None,
        max_bad_rate: float = 0.0,
    ):
        self.run, self.settings, self.method, self.loader, self.device = run, settings, method, loader, device
        self.log = run.log
        self.optimizer, self.schedule = self.build_optimizer()
        self.precision = Precision.from_name(settings.amp, device)
        self.stepper = Stepper(
            method,
            self.optimizer,
            self.schedule,
            device=device,
            precision=self.precision,
            micro_batch=settings.micro_batch,
        )
        self.transform = transform
        self.data_order = order_digest(loader.dataset)
        self.nonfinite_before = version(run.folder / NONFINITE_FILE)  # of an earlier session
        self.progress = Progress()
        self.seconds = 0.0  # of whole epochs with their held-out scoring, over all sessions of the run
        self.best = float("-inf")
        self.bad_samples = BadSamples(self.log.line, max_rate=max_bad_rate)
        seed_rank(settings.seed)

    @abstractmethod
    def build_optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Build the optimiser over the method's parameters, and its schedule, which moves once per step."""

    def before_epoch(self, epoch: int) -> None:  # noqa: B027, most trainings have nothing to set
        """Set what depends on nothing but the epoch, such as BatchNorm's momentum: states do not hold it.

        Called on every rank, in the middle of an epoch too where a run is resumed there.
        """

    @abstractmethod
    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Score and keep the model of the epoch that has just ended; the scores go to the run's metrics.

        Called on every rank; `save_weights` writes on the main process alone.
        """

    def save_weights(self, weights: Mapping[str, Any], name: str) -> None:
        """Write a file of the run's models/, once for all ranks; one of `export_state` also says which run made it."""
        if is_main_process():
            note_run(weights, type(self.method).__name__, self.run.record)
            save_atomically(weights, self.run.folder / MODELS_FOLDER / name)

    def resume(self) -> None:
        """Continue from the run's last state; begin where there is none yet.

        Raises:
            ValueError: the state is damaged, or of another method, other settings or another number of samples; or it
                was saved in the middle of an epoch, and the samples or their order are others now.
        """
        if not any(gather_objects(has_state(self.run.folder))):
            self.log.line(f"no state in {self.run.folder} yet: training begins")
            return
        path, state = load_state(self.run.folder, report=self.log.line)
        check_same(state["config"], self.run.record, path)
        self._check_samples(state, path)
        self.restore(state, path)
        self._check_agreed(path)
        if is_main_process():
            set_aside_damaged(self.run.folder, path)
            add_session(self.run)
        self.log.line(f"resumed at epoch {self.progress.epoch}, step {self.progress.step}, from {path.name}")

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Take over what `collect_state` collected; raises ValueError where it is of another network."""
        try:
            self.method.load_state_dict(state["method"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path} is the state of another network: {error}") from error
        self.schedule.load_state_dict(state["schedule"])
        self.precision.scaler.load_state_dict(state["scaler"])
        self._restore_draws(state["rng"])
        self.progress = Progress(**state["progress"])
        self.best, self.seconds = state["best"], state["seconds"]
        self.bad_samples.load_state_dict(state["bad_samples"])

    def _check_samples(self, state: dict, path: Path) -> None:
        """Refuse another number of samples, and within an epoch another order of them; between epochs warn of one."""
        given = ((name, self.run.record.flags.get(name)) for name in ("shards", "packed", "data_root"))
        source = next(f"--{name} {place}" for name, place in given if place)
        if state.get("num_samples", len(self.loader.dataset)) != len(self.loader.dataset):
            raise ValueError(
                f"{self.run.folder} was trained on {state['num_samples']} samples, {source} holds "
                f"{len(self.loader.dataset)}: resume on the same data, or start anew under another --exp_name"
            )
        if "data_order" not in state:
            self.log.line(f"{path.name} is of an earlier version, which noted no order of samples: not compared")
        elif state["data_order"] != self.data_order:
            epoch, step = state["progress"]["epoch"], state["progress"].get("step", 0)
            changed = f"{source} holds as many samples as {path} was trained on, but others or in another order"
            if 0 < step < len(self.loader):
                raise ValueError(
                    f"{changed}: going on after step {step} of epoch {epoch} would repeat some and leave out others; "
                    "resume on the same data, or start anew under another --exp_name"
                )
            self.log.line(f"warning: {changed}; epoch {epoch} begins with them")

    def _check_agreed(self, path: Path) -> None:
        """Refuse to continue where the ranks have read different states, as from a folder that they do not share."""
        found = sorted(set(gather_objects(f"{path} (epoch {self.progress.epoch}, step {self.progress.step})")))
        if len(found) > 1:
            raise ValueError(f"the processes have read different states: {', '.join(found)}; is the folder shared?")

    def _restore_draws(self, states: list[dict]) -> None:
        """Restore this rank's generators where there are as many ranks as before."""
        if len(states) == get_world_size():
            restore_rng(states[get_rank()])
            return
        self.log.line(
            f"{get_world_size()} processes go on with a run of {len(states)}: the same batches, rounded otherwise; "
            "dropout draws anew"
        )

    def fit(self) -> None:
        """Train the remaining epochs, then draw the run's curves.

        Raises:
            Stopped: any rank received one of STOP_SIGNALS; the state is saved.
            ValueError: the loss or its gradient became NaN or infinite; names step, terms, files and the saved state.
                Or float16 skipped every step of the run.
        """
        with StopRequest() as request:
            while self.progress.epoch < self.settings.epochs:
                self._train_epoch(request)
        if is_main_process():
            try_draw_curves(self.run.folder, self.log.line)

    def _train_epoch(self, request: StopRequest) -> None:
        epoch = self.progress.epoch
        self.before_epoch(epoch)
        try:
            means = train_one_epoch(
                self.stepper,
                self.loader,
                self.progress,
                report=self.log.line,
                print_freq=self.settings.print_freq,
                transform=self.transform,
                is_stopping=lambda: request.signal_name is not None,
                after_step=lambda result, faults: self._after_step(result, faults, request),
            )
        except NonFiniteLoss as error:
            raise ValueError(self._explain(error)) from error
        if epoch + 1 == self.settings.epochs:
            self._check_trained()
        start = time.perf_counter()
        scores = self.after_epoch(epoch)
        self.seconds += self.progress.seconds + time.perf_counter() - start
        self.log.metrics({"epoch": epoch, **means, **scores, "hours": self.seconds / 3600})
        self.progress = Progress(epoch + 1)
        self._save()
        release_free_pages()

    def _check_trained(self) -> None:
        """Refuse to end a run in which no step has moved a weight."""
        if self.stepper.num_updates == 0:
            raise ValueError(
                f"no weight of {self.run.folder} has moved: float16 skipped each of its "
                f"{self.settings.epochs * len(self.loader)} steps, because the gradient overflowed, scaled by "
                f"{self.precision.scaler.get_scale():g} in the end; each skipped step halves the scale, so train "
                "longer, or pass --amp bf16 or --amp none, under another --exp_name or with --overwrite"
            )

    def _after_step(self, result: StepResult, faults: list[str], request: StopRequest) -> None:
        """Count bad samples, save when it is due, and stop when any rank was told to."""
        progress, every = self.progress, self.settings.save_every_steps
        found = [fault for faults in gather_objects(faults) for fault in faults] if result.num_faults else []
        self.bad_samples.note(found, self.loader.batch_size)
        if result.is_stopping:
            self._save()
            barrier()  # a launcher may kill the main process, which still writes, when it sees another rank end
            self.log.line(
                f"{request.signal_name or 'a signal to another process'}: stopped in epoch {progress.epoch} after step "
                f"{progress.step}, which {self.run.folder / STATE_FILE} holds; go on with --resume"
            )
            raise Stopped
        steps = progress.epoch * len(self.loader) + progress.step
        if every and steps % every == 0 and progress.step < len(self.loader):
            self._save()

    def _save(self) -> None:
        rng = gather_objects(rng_state())
        if is_main_process():
            save_state(self.collect_state(rng), self.run.folder)
            discard(self.run.folder)

    def collect_state(self, rng: list[dict]) -> dict[str, Any]:
        """Collect all that a run needs to continue; `rng` holds the generators of every rank."""
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "rng": rng,
            "progress": asdict(self.progress),
            "best": self.best,
            "seconds": self.seconds,
            "bad_samples": self.bad_samples.state_dict(),
            "num_samples": len(self.loader.dataset),
            "data_order": self.data_order,
            "config": self.run.record.flags,
            "provenance": provenance(),
        }

    def _explain(self, error: NonFiniteLoss) -> str:
        """Save the state, once for all ranks, and describe the failure; the failed step has moved no weight."""
        path = self.run.folder / NONFINITE_FILE
        if not is_main_process() and not appears(path, unlike=self.nonfinite_before):
            path = self.run.folder / f"nonfinite_{get_rank()}.pt"  # the main process has not met it
        if is_main_process() or path.name != NONFINITE_FILE:
            state = self.collect_state([rng_state()])
            save_atomically(state | {"failed_batch": error.batch, "failed_step": error.step}, path)
        files = "\n  ".join(self.loader.dataset.files(index) for index in error.indices)
        remedy = "a lower --lr" if self.precision.dtype is None else "a lower --lr or --amp none"
        last = self.run.folder / STATE_FILE
        before = f"the state saved before is {last}" if last.is_file() else "no state was saved before"
        return (
            f"the loss or its gradient became non-finite in epoch {self.progress.epoch}, step {error.step}: "
            f"{error.terms}. The weights before that step are in {path} (BatchNorm's running statistics include it); "
            f"{before}. Try {remedy}, and check this batch:\n  {files}"
        )
