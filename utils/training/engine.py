"""One epoch and one step of training: the only place of the project that steps an optimiser."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.distributed import get_world_size
from models.layers.neighbours import NonFiniteInput
from models.methods.method import Method
from utils.processes.collectives import all_reduce_mean, distribute, gather_objects, is_main_process
from utils.run.log import is_terminal, peak_memory_mib
from utils.training.gradient_cache import Embedding, cached_backward

AMP_DTYPES = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


BatchTransform = Callable[[dict, int, int], dict]


class Batches(Protocol):
    """A loader, as the loop needs it: steps in an epoch, samples in a step over all ranks, batches of an epoch.

    A batch may hold "fault", a text per sample: "" where the sample could be read.
    """

    batch_size: int

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, start: int = 0) -> Iterable[dict]: ...


class NonFiniteLoss(RuntimeError):
    """The loss or its gradient became NaN or infinite.

    Attributes: step in the epoch, terms, `indices` of this rank's samples of the batch, and `batch`, those of all ranks
    where all of them raise this together.
    """

    def __init__(self, step: int, terms: dict[str, float], indices: list[int], batch: list[int] | None = None):
        super().__init__(f"not finite at step {step}: {terms}")
        self.step = step
        self.terms = terms
        self.indices = indices
        self.batch = indices if batch is None else batch


class Precision(NamedTuple):
    """The autocast type (None: float32 throughout) and, for float16, the gradient scaler."""

    dtype: torch.dtype | None
    scaler: torch.amp.GradScaler

    @classmethod
    def from_name(cls, name: str, device: torch.device) -> "Precision":
        """Make it from the value of `--amp`: none, bf16 or fp16."""
        return cls(AMP_DTYPES[name], torch.amp.GradScaler(device.type, enabled=name == "fp16"))


@dataclass
class Progress:
    """The steps of an epoch so far and the sums over them, in plain values that a state can hold.

    `waited` of the `seconds` went into waiting for data; `lr` is that of the last step. `num_skipped` of the steps
    moved no weight, see Stepper.step.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    num_shapes: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    lr: float = 0.0
    num_skipped: int = 0

    def add(self, terms: dict[str, float], num_shapes: int, lr: float) -> None:
        """Count one more step."""
        self.step += 1
        self.num_shapes += num_shapes
        self.lr = lr
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Average every term over the steps; add "loss/total", the last "lr", "shapes_per_s" and "data_wait".

        Where steps were skipped, "skipped_steps" is their number.
        """
        terms = {name: total / self.step for name, total in self.sums.items()}
        seconds = max(self.seconds, 1e-9)
        return terms | {
            "loss/total": sum(terms.values()),
            "lr": self.lr,
            "shapes_per_s": self.num_shapes / seconds,
            "data_wait": self.waited / seconds,
            **({"skipped_steps": self.num_skipped} if self.num_skipped else {}),
        }


class StepResult(NamedTuple):
    """Loss terms averaged over the ranks, whether any rank was asked to stop, and the faults of all ranks.

    `is_skipped`: with float16 the gradient overflowed, and no weight has moved.
    """

    terms: dict[str, float]
    is_stopping: bool
    num_faults: int
    is_skipped: bool = False


class Stepper:
    """Take optimiser steps, with the same result on one rank or many.

    Args:
        method: with micro-batches it also has `embed` and `loss`, see Method.
        optimizer, schedule: over the method's parameters; the schedule moves once per step that moves weights.
        micro_batch: samples of a rank whose activations are in memory at once, see gradient_cache.py; 0: all.
    """

    def __init__(
        self,
        method: Method,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        *,
        device: torch.device,
        precision: Precision,
        micro_batch: int = 0,
    ):
        self.method, self.optimizer, self.schedule = method, optimizer, schedule
        self.device, self.precision, self.micro_batch = device, precision, micro_batch
        self.forward = distribute(Embedding(method) if micro_batch else method, device)

    @property
    def num_updates(self) -> int:
        """Steps so far in the run that moved weights; those before are known from the state of the schedule."""
        return self.schedule.last_epoch

    def step(
        self, batch: dict, number: int, is_stopping: Callable[[], bool] = lambda: False, num_faults: int = 0
    ) -> StepResult:
        """Run forward and backward pass, then move weights and schedule.

        With float16, a step whose scaled gradient overflows moves neither; the scale is halved for the next one.

        Args:
            number: of the step in its epoch, for messages.
            is_stopping, num_faults: of this rank; the result is that of all ranks.
        Raises:
            NonFiniteLoss: on all ranks, before any weight has moved; where a cloud's features are at fault, on the
                rank that holds it.
        """
        found: list[StepResult] = []

        def check(terms: dict[str, Tensor]) -> None:
            own = [term.item() for term in terms.values()]
            *values, stopping, faults = all_reduce_mean([*own, float(is_stopping()), float(num_faults)], self.device)
            result = StepResult(dict(zip(terms, values)), stopping > 0, round(faults * get_world_size()))
            found.append(result)
            if not all(map(math.isfinite, values)):
                raise _met_by_all(number, result.terms, batch)

        self.optimizer.zero_grad(set_to_none=True)
        try:
            self._backward(batch, check)
        except NonFiniteInput as error:  # diverged weights show in the features first
            raise NonFiniteLoss(number, {"features": math.nan}, batch["index"].tolist()) from error
        scaler = self.precision.scaler
        if not scaler.is_enabled():  # float16's scaler checks by itself, and skips such steps
            norm = nn.utils.get_total_norm(p.grad for p in self.method.parameters() if p.grad is not None).item()
            if not math.isfinite(norm):
                raise _met_by_all(number, found[0].terms | {"gradient norm": norm}, batch)
        is_skipped = _step_and_update(scaler, self.optimizer)
        if not is_skipped:
            self.schedule.step()
        return found[0]._replace(is_skipped=is_skipped)

    def _backward(self, batch: dict, check: Callable[[dict[str, Tensor]], None]) -> None:
        dtype, scale = self.precision.dtype, self.precision.scaler.scale
        autocast = partial(torch.autocast, self.device.type, dtype, enabled=dtype is not None)
        if self.micro_batch:
            cached_backward(
                self.method, batch, self.micro_batch, context=autocast, scale=scale, check=check, embed=self.forward
            )
            return
        with autocast():
            terms = self.forward(batch)
        check(terms)
        scale(torch.stack(list(terms.values())).sum()).backward()


def _met_by_all(number: int, terms: dict[str, float], batch: dict) -> NonFiniteLoss:
    """Make the error that every rank is about to raise."""
    indices = batch["index"].tolist()
    return NonFiniteLoss(number, terms, indices, [index for rows in gather_objects(indices) for index in rows])


def _step_and_update(scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> bool:
    """Step the optimiser and adapt the scale; return whether the scaler skipped the step."""
    before = scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()
    after = scaler.get_scale()
    return after < before or after == 0  # halved so often that nothing is left


def train_one_epoch(
    stepper: Stepper,
    loader: Batches,
    progress: Progress,
    *,
    report: Callable[[str], None],
    print_freq: int = 200,
    transform: BatchTransform | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    after_step: Callable[[StepResult, list[str]], None] = lambda result, faults: None,
) -> dict[str, float]:
    """Minimise the sum of the method's loss terms over the rest of an epoch.

    Args:
        progress: the epoch and the steps taken so far; updated after every step.
        report: called with one line every `print_freq` steps and at the epoch's last step.
        transform: (batch on the device, epoch, step) -> the batch for the method; for augmentation.
        is_stopping: asked in every step whether this rank was told to stop.
        after_step: called after every step with its result and this rank's faults.
    Returns:
        `progress.means()` and "peak_mib".
    Raises:
        NonFiniteLoss: before the step that would have applied it.
    """
    stepper.method.train()
    epoch, start = progress.epoch, progress.step
    before, last_end = progress.seconds, time.perf_counter()
    begin = last_end
    hidden = not is_terminal() or not is_main_process()
    batches = tqdm(
        loader.epoch(epoch, start), total=len(loader), initial=start, desc=f"epoch {epoch}", leave=False, disable=hidden
    )
    for step, batch in enumerate(batches, start):
        progress.waited += time.perf_counter() - last_end
        faults = [fault for fault in batch.pop("fault", []) if fault]
        lr = stepper.schedule.get_last_lr()[0]
        on_device = _move(batch, stepper.device)
        if transform is not None:
            on_device = transform(on_device, epoch, step)
        result = stepper.step(on_device, step, is_stopping, len(faults))
        if not result.is_skipped:
            stepper.method.after_update(stepper.num_updates)
        progress.add(result.terms, len(batch["index"]) * get_world_size(), lr)
        progress.num_skipped += result.is_skipped
        last_end = time.perf_counter()
        progress.seconds = before + last_end - begin
        if progress.step % print_freq == 0 or progress.step == len(loader):
            report(_line(progress, len(loader), peak_memory_mib(stepper.device)))
        after_step(result, faults)
    return progress.means() | {"peak_mib": peak_memory_mib(stepper.device)}


def _move(batch: dict, device: torch.device) -> dict:
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value for key, value in batch.items()
    }


def _line(progress: Progress, num_steps: int, peak_mib: float) -> str:
    means = progress.means()
    losses = "  ".join(f"{name.split('/')[1]} {value:.4f}" for name, value in means.items() if name.startswith("loss/"))
    skipped = f"  skipped {progress.num_skipped} (float16 overflow)" if progress.num_skipped else ""
    return (
        f"epoch {progress.epoch} step {progress.step}/{num_steps}{skipped}  {losses}  lr {means['lr']:.2e}  "
        f"{means['shapes_per_s']:.1f} shapes/s  data wait {means['data_wait']:.0%}  peak {peak_mib:.0f} MiB"
    )
