"""Batches streamed from shards: the same numbers with any number of ranks and workers, from any step on."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

from datasets.shards.shard_order import check_streams, largest_divisor, part_of
from datasets.shards.shard_pairs import ShardPairs
from datasets.shards.shard_rows import read_rows, read_sound_rows
from datasets.shards.shard_streams import EpochOrder, StreamReader
from utils.settings import Settings, flag
from utils.training.epoch_loader import TIMEOUT_S, check_batch_fits, describe_death, leave_signal_group, worker_errors

MAX_DEFAULT_STREAMS = 16
SHUFFLE_BUFFER = 256
PREFETCHED = 8  # steps that a worker reads ahead: opening a shard over a network takes as long as several steps

Batch = dict[str, Tensor | list[str]]


@dataclass(frozen=True)
class ShardSettings(Settings):
    """Shards, read in place of a packed file or of the trees."""

    shards: str | None = flag(
        None, "a folder that data.shard wrote, http://, https://, s3:// or gs://", metavar="DIR_OR_URL", is_free=True
    )
    streams: int | None = flag(
        None,
        "places that a batch is read from; with the seed it decides the order "
        f"(default: the largest divisor of --batch_size up to {MAX_DEFAULT_STREAMS})",
    )
    shuffle_buffer: int = flag(SHUFFLE_BUFFER, "samples of a stream in memory", at_least=1)


class ShardLoader:
    """Batches over shards, in the protocol of EpochLoader; datasets.shards.shard_order defines the order.

    Rows of a batch come stream by stream. Rank r of W has rows r * B / W up to (r + 1) * B / W of every batch.

    Args, beside those of EpochLoader:
        dataset: the shards and how their samples become items.
        num_workers: as many are started as can share the streams of the rank equally; `notes` says so when they are
            fewer.
        streams: S; divides B, and W divides it.
        shuffle_buffer: samples of each stream in memory, from which the next one is drawn.
        skips_bad: replace a damaged sample by the next sound one of its stream; batches then hold "fault", a text per
            row: "" or what was wrong with the replaced sample.
    Raises:
        ValueError: the batch is larger than the data set, or streams cannot be shared out.
    """

    def __init__(
        self,
        dataset: ShardPairs,
        batch_size: int,
        *,
        seed: int,
        num_workers: int,
        pin_memory: bool,
        rank: int = 0,
        world_size: int = 1,
        streams: int | None = None,
        shuffle_buffer: int = SHUFFLE_BUFFER,
        skips_bad: bool = False,
    ):
        self.streams = largest_divisor(batch_size, MAX_DEFAULT_STREAMS) if streams is None else streams
        check_streams(self.streams, batch_size, world_size)
        check_batch_fits(batch_size, dataset)
        if shuffle_buffer < 1:
            raise ValueError(f"--shuffle_buffer must be at least 1, got {shuffle_buffer}")
        self.dataset = dataset
        self.batch_size, self.seed, self.shuffle_buffer = batch_size, seed, shuffle_buffer
        self.mine = part_of(range(self.streams), world_size, rank)
        self.num_workers = largest_divisor(len(self.mine), num_workers) if num_workers else 0
        self.pin_memory, self.skips_bad = pin_memory, skips_bad
        self.notes: list[str] = []
        if self.num_workers < num_workers:
            self.notes.append(
                f"--num_workers {num_workers}: {self.num_workers} are used, to share the {len(self.mine)} streams of a "
                "process equally; more --streams serve more"
            )

    def __len__(self) -> int:
        return len(self.dataset) // self.batch_size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from step `start` on: this rank's rows of every item key.

        Raises:
            OSError: a shard cannot be read, or a worker was killed.
            ValueError: a shard or a sample is damaged, with `skips_bad` too many in a row.
        """
        self.dataset.set_epoch(epoch)
        order = EpochOrder(self.seed, epoch, self.streams, self.shuffle_buffer)
        rows = self.batch_size // self.streams
        steps = _Steps(self.dataset, order, self.mine, rows, range(start, len(self)), self.skips_bad)
        with worker_errors(self.num_workers, _explain), closing(self._parts(steps)) as parts:
            for _ in steps.steps:
                step = [next(parts) for _ in range(max(self.num_workers, 1))]
                self.dataset.sample_names = {number: name for part in step for number, name in part.names.items()}
                batch = _join([part.batch for part in step], self.pin_memory)
                yield batch | {"fault": [fault for part in step for fault in part.faults]} if self.skips_bad else batch

    def _parts(self, steps: "_Steps") -> Iterator["_Part"]:
        """Yield the part of every worker for each step, in the order of their streams."""
        if not self.num_workers:
            yield from steps
            return
        loader = DataLoader(
            steps,
            batch_size=None,
            num_workers=self.num_workers,
            timeout=TIMEOUT_S,
            prefetch_factor=PREFETCHED,
            worker_init_fn=leave_signal_group,
            generator=torch.Generator(),  # its own, see EpochLoader
        )
        parts = iter(loader)
        try:
            yield from parts  # one of each worker in turn
        finally:
            # As its __del__ does, which a traceback would delay; collected late it waits 5 s for each worker.
            parts._shutdown_workers()


class _Part(NamedTuple):
    """Some rows of a step, the names of their samples, and the fault of each row."""

    batch: dict[str, Tensor]
    names: dict[int, str]
    faults: list[str]


class _Steps(IterableDataset):
    """Yield the rows of some streams for each step; in a worker, of its share of these streams."""

    def __init__(self, pairs: ShardPairs, order: EpochOrder, streams: range, rows: int, steps: range, skips_bad: bool):
        self.pairs, self.order, self.streams, self.rows, self.steps = pairs, order, streams, rows, steps
        self.skips_bad = skips_bad

    def __iter__(self) -> Iterator[_Part]:
        worker = get_worker_info()
        streams = part_of(self.streams, worker.num_workers, worker.id) if worker else self.streams
        first, last = self.steps.start * self.rows, self.steps.stop * self.rows
        source, index = self.pairs.source, self.pairs.index
        readers = [
            StreamReader(source, index, self.order, stream, first, last, skips_bad=self.skips_bad) for stream in streams
        ]
        read = read_sound_rows if self.skips_bad else read_rows
        try:
            for number in range(first, last, self.rows):
                items, samples, faults = zip(*read(self.pairs, readers, range(number, number + self.rows)))
                for reader in readers:
                    reader.release(number + self.rows)
                yield _Part(default_collate(items), {s.number: str(s) for s in samples}, list(faults))
        finally:
            for reader in readers:
                reader.close()


def _join(parts: list[dict[str, Tensor]], pin: bool) -> dict[str, Tensor]:
    if len(parts) == 1:
        return {name: value.pin_memory() if pin else value for name, value in parts[0].items()}
    rows = sum(len(part["index"]) for part in parts)
    batch = {name: torch.empty((rows, *x.shape[1:]), dtype=x.dtype, pin_memory=pin) for name, x in parts[0].items()}
    for name, out in batch.items():
        torch.cat([part[name] for part in parts], out=out)
    return batch


def _explain(error: Exception) -> str:
    return (
        f"{describe_death(error)}. Was memory short? Lower --num_workers or --shuffle_buffer, or pass --num_workers 0"
    )
