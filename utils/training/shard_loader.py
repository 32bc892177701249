"""Batches streamed from shards: the same numbers on any number of processes and loader processes, from any step on."""

import argparse
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

from datasets.shards.shard_order import check_streams, largest_divisor, part_of
from datasets.shards.shard_pairs import ShardPairs
from datasets.shards.shard_rows import read_rows, read_sound_rows
from datasets.shards.shard_streams import EpochOrder, StreamReader
from utils.training.epoch_loader import TIMEOUT_S, check_fits, clear_errors, describe_death, leave_group

MOST_STREAMS = 16  # of a batch, unless more are asked for
SHUFFLE_BUFFER = 256
PREFETCHED = 8  # steps that a loader process is ahead: opening a shard on a network takes as long as some of them

Batch = dict[str, Tensor | list[str]]


class ShardLoader:
    """Batches over shards, in the protocol of EpochLoader; the order is told in datasets.shards.shard_order.

    Rows of a batch come stream by stream. Rank r of W has rows r * B / W up to (r + 1) * B / W of every batch.

    Args:
        dataset: the shards and what is made of their samples.
        batch_size: B, samples per step over all processes.
        seed: of the run.
        num_workers: loader processes of each process; 0 loads in the training process. As many are started as can
            share the streams of the process equally, `notes` says so when they are fewer.
        pin_memory: for transfers to a GPU.
        rank, world_size: r and W.
        streams: S; divides B, and W divides it.
        shuffle_buffer: samples of each stream in memory, from which the next one is drawn.
        skips_bad: a damaged sample is replaced by the next sound one of its stream, and batches have "fault", a text
            for each row: "" or what was wrong with the sample that was replaced.
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
        self.streams = largest_divisor(batch_size, MOST_STREAMS) if streams is None else streams
        check_streams(self.streams, batch_size, world_size)
        check_fits(batch_size, dataset)
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
        """Batches of that epoch, from step `start` on: aug_a, aug_b, image and index of this process's rows.

        Raises:
            OSError: a shard cannot be read, or a loader process was killed.
            ValueError: a shard or a sample is damaged, with `skips_bad` too many in a row.
        """
        self.dataset.set_epoch(epoch)
        order = EpochOrder(self.seed, epoch, self.streams, self.shuffle_buffer)
        rows = self.batch_size // self.streams
        steps = _Steps(self.dataset, order, self.mine, rows, range(start, len(self)), self.skips_bad)
        with clear_errors(self.num_workers, _explain), closing(self._parts(steps)) as parts:
            for _ in steps.steps:
                step = [next(parts) for _ in range(max(self.num_workers, 1))]
                self.dataset.sample_names = {number: name for part in step for number, name in part.names.items()}
                batch = _join([part.batch for part in step], self.pin_memory)
                yield batch | {"fault": [fault for part in step for fault in part.faults]} if self.skips_bad else batch

    def _parts(self, steps: "_Steps") -> Iterator["_Part"]:
        """Of each step the part of every loader process, in the order of their streams."""
        if not self.num_workers:
            yield from steps
            return
        loader = DataLoader(
            steps,
            batch_size=None,
            num_workers=self.num_workers,
            timeout=TIMEOUT_S,
            prefetch_factor=PREFETCHED,
            worker_init_fn=leave_group,
            generator=torch.Generator(),  # its own, see EpochLoader
        )
        parts = iter(loader)
        try:
            yield from parts  # in turns, one of each process
        finally:
            # What its __del__ does. Left to the garbage collector, as by a traceback, it waits 5 s for each process.
            parts._shutdown_workers()


class _Part(NamedTuple):
    """Some rows of a step, what their samples are called, and the fault of each row."""

    batch: dict[str, Tensor]
    names: dict[int, str]
    faults: list[str]


class _Steps(IterableDataset):
    """Of each step the rows of some streams.

    In a loader process, only of its part of the streams.
    """

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
    """One batch of several, in their order."""
    if len(parts) == 1:
        return {name: value.pin_memory() if pin else value for name, value in parts[0].items()}
    rows = sum(len(part["index"]) for part in parts)
    batch = {name: torch.empty((rows, *x.shape[1:]), dtype=x.dtype, pin_memory=pin) for name, x in parts[0].items()}
    for name, out in batch.items():
        torch.cat([part[name] for part in parts], out=out)
    return batch


def _explain(error: Exception) -> str:
    """What to say of loader processes that died or hang."""
    return (
        f"{describe_death(error)}. Was memory short? Lower --num_workers or --shuffle_buffer, or pass --num_workers 0"
    )


def add_shard_args(parser: argparse.ArgumentParser) -> None:
    """Flags of training from shards, which `open_shards` reads."""
    group = parser.add_argument_group("shards", "by data.shard, read in place of --packed or the trees")
    group.add_argument("--shards", metavar="DIR_OR_URL", help="a folder, http://, https://, s3:// or gs://")
    group.add_argument(
        "--streams",
        type=int,
        help="places that a batch is read from; with the seed it decides the order "
        f"(default: the largest divisor of --batch_size up to {MOST_STREAMS})",
    )
    group.add_argument("--shuffle_buffer", type=int, default=SHUFFLE_BUFFER, help="samples of a stream in memory")


def open_shards(
    args: argparse.Namespace, options: dict[str, Any], *, pin_memory: bool, rank: int = 0, world_size: int = 1
) -> ShardLoader:
    """The loader of these flags; `options` are those of ShardPairs.

    Raises:
        ValueError: --packed is given too, or a bad flag; see ShardPairs and ShardLoader.
    """
    if args.packed:
        raise ValueError("--shards and --packed both name data to train on; pass one")
    if not args.shards:
        raise ValueError("--shards is empty; name a folder that data.shard wrote or its URL, or leave the flag out")
    return ShardLoader(
        ShardPairs(args.shards, **options),
        args.batch_size,
        seed=args.seed,
        num_workers=args.num_workers,
        pin_memory=pin_memory,
        rank=rank,
        world_size=world_size,
        streams=args.streams,
        shuffle_buffer=args.shuffle_buffer,
        skips_bad=args.on_bad_sample == "skip",
    )
