"""Batches whose order and content depend on (seed, epoch) alone, not on the number of workers or ranks."""

import os
import re
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, Self

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from models.distributed import get_rank, get_world_size

TIMEOUT_S = 900  # without a batch: a hanging file system must not hang the run
_READING = re.compile(r"pid(?:\(s\))? ([\d, ]+)")


class LoaderSettings(Protocol):
    """What settings of a training say of its loader."""

    batch_size: int
    seed: int
    num_workers: int


class EpochBatches(Sampler[list[int]]):
    """Split a permutation of 0 .. length - 1, which depends on (seed, epoch) only, into batches; yield a rank's rows.

    The last incomplete batch is dropped. Rank r of W gets rows r * B / W up to (r + 1) * B / W of every batch.

    Args:
        length: number of samples.
        batch_size: B, samples in a step over all ranks; a multiple of `world_size`.
        seed: of the run.
        rank, world_size: r and W.
    """

    def __init__(self, length: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1):
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.share = batch_size // world_size
        self.first_row = rank * self.share
        self.epoch = 0
        self.first_step = 0

    def __len__(self) -> int:
        return self.length // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.length, generator=generator).tolist()
        for step in range(self.first_step, len(self)):
            start = step * self.batch_size + self.first_row
            yield order[start : start + self.share]


class EpochLoader:
    """Load the batches of an epoch from any step on; the last incomplete batch is dropped.

    Args:
        dataset: map-style, with `set_epoch(epoch)` and `files(index)`.
        batch_size: samples per step, over all ranks.
        seed: of the run.
        num_workers: of each rank; 0 loads in the training process.
        pin_memory: for transfers to a GPU.
        rank, world_size: which rows of every batch this rank loads, see EpochBatches.
        collate: makes a batch of items; None stacks their tensors, which have one shape.
    Raises:
        ValueError: the batch is larger than the data set, or cannot be divided among the ranks.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int,
        num_workers: int,
        pin_memory: bool,
        rank: int = 0,
        world_size: int = 1,
        collate: Callable[[list], dict] | None = None,
    ):
        check_divisible(batch_size, world_size)
        check_batch_fits(batch_size, dataset)
        self.dataset = dataset
        self.batch_size = batch_size
        self.batches = EpochBatches(len(dataset), batch_size, seed, rank, world_size)
        self.reading = torch.full((max(num_workers, 1), 2), -1).share_memory_()  # per worker: pid, current item
        self.loader = DataLoader(
            _Watched(dataset, self.reading),
            batch_sampler=self.batches,
            collate_fn=collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory,
            timeout=TIMEOUT_S if num_workers else 0,
            worker_init_fn=leave_signal_group,
            # Each new iterator draws a seed for its workers, by default from the generator that dropout uses.
            generator=torch.Generator(),
        )

    @classmethod
    def of_rank(
        cls,
        dataset: Dataset,
        settings: LoaderSettings,
        device: torch.device,
        *,
        batch_size: int | None = None,
        collate: Callable[[list], dict] | None = None,
    ) -> Self:
        """Build the loader of this rank's share of every batch, for a training on `device`.

        Args:
            batch_size: None takes that of the settings.
        """
        return cls(
            dataset,
            settings.batch_size if batch_size is None else batch_size,
            seed=settings.seed,
            num_workers=settings.num_workers,
            pin_memory=device.type == "cuda",
            rank=get_rank(),
            world_size=get_world_size(),
            collate=collate,
        )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict]:
        """Yield the batches of an epoch from step `start` on.

        Raises:
            ValueError, OSError: as the data set raises them; or a worker died or delivered nothing for TIMEOUT_S
                seconds: the message names the files it was reading.
        """
        self.batches.epoch, self.batches.first_step = epoch, start
        self.dataset.set_epoch(epoch)
        with worker_errors(self.loader.num_workers, self._explain):
            yield from self.loader

    def _explain(self, error: Exception) -> str:
        """Describe a worker that died or hangs, with the files it was reading."""
        named = _READING.search(str(error))
        pids = {int(pid) for pid in named[1].split(",")} if named else None  # a timeout names none
        items = [item for pid, item in self.reading.tolist() if item >= 0 and (pids is None or pid in pids)]
        files = "".join(f"\n  {self.dataset.files(item)}" for item in items) or " nothing that is known"
        return (
            f"{describe_death(error)}. Was memory short, or a file at fault? Lower --num_workers, or "
            f"pass --num_workers 0. It was reading:{files}"
        )


def leave_signal_group(worker: int) -> None:
    """Move a worker out of the process group that a scheduler signals, so that it outlives the signal to stop."""
    os.setpgid(0, 0)


class _Watched(Dataset):
    """Record which item each worker is reading, where the data set has a `watch` that reports it."""

    def __init__(self, dataset: Dataset, reading: torch.Tensor):
        self.dataset, self.reading = dataset, reading
        if hasattr(dataset, "watch"):
            dataset.watch(self._note)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: list[int]) -> list:
        if hasattr(self.dataset, "__getitems__"):
            return self.dataset.__getitems__(indices)
        return [self.dataset[index] for index in indices]

    def _note(self, index: int) -> None:
        worker = get_worker_info()
        self.reading.numpy()[worker.id if worker else 0] = os.getpid(), index


def check_divisible(batch_size: int, world_size: int) -> None:
    """Refuse a batch that the ranks cannot share equally.

    Raises:
        ValueError: names the nearest sizes that they can share.
    """
    if batch_size % world_size:
        below = batch_size // world_size * world_size
        sizes = f"{below} or {below + world_size}" if below > 1 else f"{below + world_size}"
        raise ValueError(f"--batch_size {batch_size} is not divisible by {world_size} ranks; use {sizes}")


def check_batch_fits(batch_size: int, dataset: Sized) -> None:
    """Refuse a batch that the data set cannot fill.

    Raises:
        ValueError: says how many shapes there are.
    """
    if batch_size > len(dataset):
        raise ValueError(
            f"--batch_size {batch_size} is larger than the data set ({len(dataset)} shapes); lower it or add shapes"
        )


@contextmanager
def worker_errors(num_workers: int, explain: Callable[[Exception], str]) -> Iterator[None]:
    """Re-raise worker errors without the worker's traceback; report a dead worker as OSError with `explain`'s words."""
    try:
        yield
    except (ValueError, OSError, EOFError, RuntimeError) as error:
        if _is_death(error, num_workers):
            raise OSError(explain(error)) from error
        plain = _without_worker_traceback(error) if isinstance(error, ValueError | OSError) else error
        if plain is error:
            raise
        raise plain from error


def _is_death(error: Exception, num_workers: int) -> bool:
    """Return whether the error means that a worker died or hangs.

    Killed while it hands over a tensor, a worker resets a connection or leaves no socket.
    """
    if not num_workers or "in DataLoader worker process" in str(error):
        return False
    return isinstance(error, OSError | EOFError) or "DataLoader" in str(error)


def describe_death(error: Exception) -> str:
    """Describe the error of a worker that died or hangs."""
    sign = next(iter(str(error).splitlines()), "it closed its connection")
    return f"{f'no batch came for {TIMEOUT_S} s' if 'timed out' in sign else 'a loader process died'} ({sign})"


def _without_worker_traceback(error: Exception) -> Exception:
    """Return the error as the data set raised it: a worker wraps its message in a traceback."""
    name = type(error).__name__
    if f"Caught {name} in DataLoader worker process" not in str(error):
        return error
    return type(error)(str(error).rsplit(f"\n{name}: ", 1)[-1].strip())
