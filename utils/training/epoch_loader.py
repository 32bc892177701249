"""Batches whose order and content are a function of (seed, epoch) alone, whatever the number of workers and ranks."""

import os
import re
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

TIMEOUT_S = 900  # without a batch; a file system that hangs would otherwise hang the run
_READING = re.compile(r"pid(?:\(s\))? ([\d, ]+)")


class EpochBatches(Sampler[list[int]]):
    """Batches of a permutation of 0 .. length - 1 that depends on (seed, epoch) only; of each, one process's part.

    The last incomplete batch is left out. Process r of W has rows r * B / W up to (r + 1) * B / W of every batch.

    Args:
        length: number of samples.
        batch_size: B, samples of all processes in a step; a multiple of `world_size`.
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
    """DataLoader over a data set with `set_epoch`, dropping the last incomplete batch.

    Args:
        dataset: map-style, with `set_epoch(epoch)` and `files(index)`.
        batch_size: samples per step, over all processes.
        seed: of the run.
        num_workers: loader processes of each process; 0 loads in the training process.
        pin_memory: for transfers to a GPU.
        rank, world_size: which part of every batch is this process's, see EpochBatches.
    Raises:
        ValueError: the batch is larger than the data set, or cannot be divided among the processes.
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
    ):
        check_divisible(batch_size, world_size)
        check_fits(batch_size, dataset)
        self.dataset = dataset
        self.batch_size = batch_size
        self.batches = EpochBatches(len(dataset), batch_size, seed, rank, world_size)
        self.reading = torch.full((max(num_workers, 1), 2), -1).share_memory_()  # of each worker: pid, its item
        self.loader = DataLoader(
            _Watched(dataset, self.reading),
            batch_sampler=self.batches,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory,
            timeout=TIMEOUT_S if num_workers else 0,
            worker_init_fn=leave_group,
            # Its own: each new iterator draws a seed for its workers, by default from the generator dropout uses.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict]:
        """Batches of that epoch, from step `start` on.

        Raises:
            ValueError, OSError: what the data set raises; a loader process died or gave nothing for TIMEOUT_S seconds:
                the files it was reading are named.
        """
        self.batches.epoch, self.batches.first_step = epoch, start
        self.dataset.set_epoch(epoch)
        with clear_errors(self.loader.num_workers, self._explain):
            yield from self.loader

    def _explain(self, error: Exception) -> str:
        """What to say of loader processes that died or hang."""
        named = _READING.search(str(error))
        pids = {int(pid) for pid in named[1].split(",")} if named else None  # a timeout names none
        items = [item for pid, item in self.reading.tolist() if item >= 0 and (pids is None or pid in pids)]
        files = "".join(f"\n  {self.dataset.files(item)}" for item in items) or " nothing that is known"
        return (
            f"{describe_death(error)}. Was memory short, or a file at fault? Lower --num_workers, or "
            f"pass --num_workers 0. It was reading:{files}"
        )


def leave_group(worker: int) -> None:
    """Keep signals meant for the training, which a scheduler sends to its whole group, from its loader processes."""
    os.setpgid(0, 0)


class _Watched(Dataset):
    """A data set whose loader processes note which item they are reading, where it has a `watch` to tell them."""

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
    """Refuse a batch that processes cannot share equally.

    Raises:
        ValueError: names the nearest sizes that they can.
    """
    if batch_size % world_size:
        below = batch_size // world_size * world_size
        sizes = f"{below} or {below + world_size}" if below > 1 else f"{below + world_size}"
        raise ValueError(f"--batch_size {batch_size} is not divisible by {world_size} ranks; use {sizes}")


def check_fits(batch_size: int, dataset: Sized) -> None:
    """Refuse a batch that the data set cannot fill.

    Raises:
        ValueError: says how many shapes there are.
    """
    if batch_size > len(dataset):
        raise ValueError(
            f"--batch_size {batch_size} is larger than the data set ({len(dataset)} shapes); lower it or add shapes"
        )


@contextmanager
def clear_errors(num_workers: int, explain: Callable[[Exception], str]) -> Iterator[None]:
    """Errors of loader processes as if there were none; their deaths are an OSError that says what `explain` does."""
    try:
        yield
    except (ValueError, OSError, EOFError, RuntimeError) as error:
        if _tells_of_death(error, num_workers):
            raise OSError(explain(error)) from error
        told = _without_worker_traceback(error) if isinstance(error, ValueError | OSError) else error
        if told is error:
            raise
        raise told from error


def _tells_of_death(error: Exception, num_workers: int) -> bool:
    """Whether a loader process died or hangs.

    One that is killed while it hands over a tensor resets a connection, or its socket is missing.
    """
    if not num_workers or "in DataLoader worker process" in str(error):
        return False
    return isinstance(error, OSError | EOFError) or "DataLoader" in str(error)


def describe_death(error: Exception) -> str:
    """What an error of a loader process that died or hangs says."""
    sign = next(iter(str(error).splitlines()), "it closed its connection")
    return f"{f'no batch came for {TIMEOUT_S} s' if 'timed out' in sign else 'a loader process died'} ({sign})"


def _without_worker_traceback(error: Exception) -> Exception:
    """The error as the data set raised it: a loader process wraps its message in a traceback."""
    name = type(error).__name__
    if f"Caught {name} in DataLoader worker process" not in str(error):
        return error
    return type(error)(str(error).rsplit(f"\n{name}: ", 1)[-1].strip())
