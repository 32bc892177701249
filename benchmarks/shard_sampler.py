"""Order in which shards are read, computed as the loader processes of 64 GPUs would at the size of Objaverse-XL.

    python -m benchmarks.shard_sampler --record

For every stream of every worker of every rank the program computes which samples it yields and in which order; no data
is read. Exit status 1 says that a sample is yielded twice or never, that ranks differ by more than one sample, that a
batch or more is left over, or that two epochs have the same order.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.harness.memory import peak
from benchmarks.harness.records import Figure, Recorder, add_output_args, setting_text
from datasets.shards.shard_order import (
    check_streams,
    emission_order,
    part_of,
    shard_order,
    stream_bounds,
    stream_pieces,
)
from utils.cli import run_main
from utils.flags import program_parser, require_at_least
from utils.training.shard_loader import SHUFFLE_BUFFER


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--shapes", type=int, default=10_000_000)
    parser.add_argument("--samples_per_shard", type=int, default=5000, help="on average; from 0.8 to 1.2 times as many")
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--workers", type=int, default=4, help="loader processes of each rank")
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=2048, help="of all ranks")
    parser.add_argument("--shuffle_buffer", type=int, default=SHUFFLE_BUFFER)
    parser.add_argument("--epochs", type=int, default=2)
    add_output_args(parser)
    args = parser.parse_args(argv)
    require_at_least(1, args, "shapes", "samples_per_shard", "ranks", "workers", "shuffle_buffer", "epochs")
    return args


class Epoch(NamedTuple):
    """One epoch of all processes, in numbers of samples."""

    order: np.ndarray  # the samples, stream by stream
    not_once: int  # not yielded exactly once
    imbalance: int  # difference between ranks
    dropped: int  # in the last, incomplete batch


def shard_counts(shapes: int, mean: int) -> np.ndarray:
    """Draw the numbers of samples of uneven shards, `shapes` in all."""
    rng = np.random.default_rng(0)
    counts = rng.integers(max(1, mean * 4 // 5), mean * 6 // 5 + 1, size=2 * shapes // mean + 1)
    whole = int(np.searchsorted(np.cumsum(counts), shapes))
    rest = shapes - int(counts[:whole].sum())
    return np.append(counts[:whole], rest) if rest else counts[:whole]


def simulate(args: argparse.Namespace, counts: np.ndarray, epoch: int) -> Epoch:
    """Compute one epoch with seed 0."""
    sequence = shard_order(len(counts), 0, epoch)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    bounds = stream_bounds(args.shapes, args.streams).tolist()
    times_yielded = np.zeros(args.shapes, np.uint8)
    order, of_rank = [], []
    for rank in range(args.ranks):
        mine = part_of(range(args.streams), args.ranks, rank)
        num_yielded = 0
        for worker in range(args.workers):
            for stream in part_of(mine, args.workers, worker):
                start, stop = bounds[stream : stream + 2]
                pieces = stream_pieces(counts, sequence, start, stop)
                places = [starts[piece.shard] + np.arange(piece.first, piece.first + piece.count) for piece in pieces]
                emission = emission_order(stop - start, args.shuffle_buffer, 0, epoch, stream)
                samples = np.concatenate(places)[emission].astype(np.int32)
                np.add.at(times_yielded, samples, 1)
                num_yielded += len(samples)
                order.append(samples)
        of_rank.append(num_yielded)
    used = args.shapes // args.batch_size * args.batch_size
    imbalance = max(of_rank) - min(of_rank)
    return Epoch(np.concatenate(order), int((times_yielded != 1).sum()), imbalance, args.shapes - used)


def main(args: argparse.Namespace) -> int:
    """Simulate, report the figures and return the exit status."""
    check_streams(args.streams, args.batch_size, args.ranks)
    if args.streams // args.ranks % args.workers:
        raise ValueError(f"--workers {args.workers} cannot share the {args.streams // args.ranks} streams of a rank")
    if args.batch_size > args.shapes:
        raise ValueError(f"--batch_size {args.batch_size} is more than --shapes {args.shapes}")
    recorder = Recorder(args, "shard_sampler", torch.device("cpu"))
    counts = shard_counts(args.shapes, args.samples_per_shard)
    start = time.perf_counter()
    epochs = [simulate(args, counts, epoch) for epoch in range(args.epochs)]
    seconds = (time.perf_counter() - start) / args.epochs
    same = max(((a.order == b.order).mean() for i, a in enumerate(epochs) for b in epochs[:i]), default=0.0)
    worst = {name: max(getattr(epoch, name) for epoch in epochs) for name in ("not_once", "imbalance", "dropped")}
    setting = setting_text(
        shapes=args.shapes, shards=len(counts), ranks=args.ranks, workers=args.workers, streams=args.streams,
        batch=args.batch_size, buffer=args.shuffle_buffer,
    )  # fmt: skip
    figures = [
        ("not read exactly once", worst["not_once"], "samples"), ("rank imbalance", worst["imbalance"], "samples"),
        ("dropped with the last batch", worst["dropped"], "samples"),
        ("at the same place in two epochs", 100 * same, "%"),
        ("peak memory of the process", peak(torch.device("cpu")), "MiB"), ("time of an epoch's order", seconds, "s"),
    ]  # fmt: skip
    recorder.add(Figure(setting, "ours", name, value, unit, args.epochs) for name, value, unit in figures)
    is_right = not worst["not_once"] and worst["imbalance"] <= 1 and worst["dropped"] < args.batch_size and same < 0.01
    return 0 if is_right else 1


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
