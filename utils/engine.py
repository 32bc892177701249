"""One epoch of training: the only place of the project that steps an optimiser."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.geometry import NonFiniteInput
from utils.gradient_cache import cached_backward
from utils.loader import EpochLoader
from utils.log import is_terminal, peak_memory_mib

AMP_DTYPES = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


BatchTransform = Callable[[dict, int, int], dict]


class NonFiniteLoss(RuntimeError):
    """The loss or its gradient became NaN or infinite.

    Attributes: step in epoch, terms, and `indices` of the batch's samples.
    """

    def __init__(self, step: int, terms: dict[str, float], indices: list[int]):
        super().__init__(f"not finite at step {step}: {terms}")
        self.step = step
        self.terms = terms
        self.indices = indices


class Precision(NamedTuple):
    """Autocast type (None: float32 throughout) and, for float16, the gradient scaler."""

    dtype: torch.dtype | None
    scaler: torch.amp.GradScaler

    @classmethod
    def from_name(cls, name: str, device: torch.device) -> "Precision":
        """From the value of `--amp`: none, bf16 or fp16."""
        return cls(AMP_DTYPES[name], torch.amp.GradScaler(device.type, enabled=name == "fp16"))


def train_one_epoch(
    method: nn.Module,
    loader: EpochLoader,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    *,
    epoch: int,
    device: torch.device,
    precision: Precision,
    report: Callable[[str], None],
    print_freq: int = 200,
    micro_batch: int = 0,
    transform: BatchTransform | None = None,
) -> dict[str, float]:
    """Minimise the sum of the method's loss terms over one epoch.

    Args:
        method: batch dict -> dict of named, weighted loss terms.
        micro_batch: samples whose activations are in memory at once, see utils.gradient_cache; 0 takes all.
        transform: (batch on the device, epoch, step) -> the batch the method gets; for augmentation.
        report: called with one line every `print_freq` steps and at the epoch's last step.
    Returns:
        Means over the epoch: every term, "loss/total", "shapes_per_s", "data_wait" (share of the time spent waiting
        for data), "peak_mib", and "lr" of the last step.
    Raises:
        NonFiniteLoss: before the step that would have applied it.
    """
    method.train()
    sums: dict[str, float] = {}
    start, waited, last_wait_end = time.perf_counter(), 0.0, time.perf_counter()
    num_shapes = 0
    batches = tqdm(
        loader.epoch(epoch), total=len(loader), desc=f"epoch {epoch}", leave=False, disable=not is_terminal()
    )
    for step, batch in enumerate(batches):
        waited += time.perf_counter() - last_wait_end
        lr = schedule.get_last_lr()[0]
        on_device = _move(batch, device)
        if transform is not None:
            on_device = transform(on_device, epoch, step)
        terms = _step(method, on_device, optimizer, schedule, device, precision, step, micro_batch)
        num_shapes += len(batch["index"])
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value
        if (step + 1) % print_freq == 0 or step + 1 == len(loader):
            elapsed = time.perf_counter() - start
            means = {name: total / (step + 1) for name, total in sums.items()}
            means |= {"loss/total": sum(means.values()), "lr": lr}
            means |= {"shapes_per_s": num_shapes / elapsed, "data_wait": waited / elapsed}
            means["peak_mib"] = peak_memory_mib(device)
            report(_line(epoch, step + 1, len(loader), means))
        last_wait_end = time.perf_counter()
    return means


def _move(batch: dict, device: torch.device) -> dict:
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value for key, value in batch.items()
    }


def _step(method, batch, optimizer, schedule, device, precision: Precision, step: int, micro_batch) -> dict[str, float]:
    """Forward, backward, update, schedule; returns the loss terms as numbers."""
    values: dict[str, float] = {}

    def check(terms: dict[str, Tensor]) -> None:
        values.update({name: term.item() for name, term in terms.items()})
        if not all(map(_is_finite, values.values())):
            raise NonFiniteLoss(step, values, batch["index"].tolist())

    autocast = partial(torch.autocast, device.type, precision.dtype, enabled=precision.dtype is not None)
    scale = precision.scaler.scale
    optimizer.zero_grad(set_to_none=True)
    try:
        if micro_batch:
            cached_backward(method, batch, micro_batch, context=autocast, scale=scale, check=check)
        else:
            with autocast():
                terms = method(batch)
            check(terms)
            scale(torch.stack(list(terms.values())).sum()).backward()
    except NonFiniteInput as error:  # weights that diverged show in the features before they reach the loss
        raise NonFiniteLoss(step, {"features": math.nan}, batch["index"].tolist()) from error
    if not precision.scaler.is_enabled():  # the scaler of float16 looks itself, and skips such steps
        norm = nn.utils.get_total_norm(p.grad for p in method.parameters() if p.grad is not None).item()
        if not _is_finite(norm):
            raise NonFiniteLoss(step, values | {"gradient norm": norm}, batch["index"].tolist())
    precision.scaler.step(optimizer)
    precision.scaler.update()
    schedule.step()
    return values


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")


def _line(epoch: int, step: int, num_steps: int, means: dict[str, float]) -> str:
    losses = "  ".join(f"{name.split('/')[1]} {value:.4f}" for name, value in means.items() if name.startswith("loss/"))
    return (
        f"epoch {epoch} step {step}/{num_steps}  {losses}  lr {means['lr']:.2e}  {means['shapes_per_s']:.1f} shapes/s  "
        f"data wait {means['data_wait']:.0%}  peak {means['peak_mib']:.0f} MiB"
    )
