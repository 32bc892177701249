"""The order in which training reads shards: a pure function of numbers, the same on any number of processes.

The shards of an epoch are put in an order drawn for it and laid end to end. Their N samples are divided into S
contiguous streams; stream j has the positions floor(j N / S) up to floor((j + 1) N / S). A step takes as many samples
of each stream, in an order that a shuffle buffer gives; it is known before anything is read. Each process, and each
loader process in it, has a contiguous part of the streams.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_SHARDS, _EMISSION = 0x5348, 0x454D  # seeds of the same numbers for two purposes


class Piece(NamedTuple):
    """`count` samples of one shard, from its sample `first` on."""

    shard: int
    first: int
    count: int


def shard_order(num_shards: int, seed: int, epoch: int) -> np.ndarray:
    """(num_shards,) int64, a permutation."""
    return np.random.default_rng((_SHARDS, seed, epoch)).permutation(num_shards)


def stream_bounds(num_samples: int, streams: int) -> np.ndarray:
    """(S + 1,) int64: where each stream starts, and where the last one ends."""
    return np.arange(streams + 1, dtype=np.int64) * num_samples // streams


def stream_pieces(counts: Sequence[int], order: np.ndarray, start: int, stop: int) -> list[Piece]:
    """Of which parts of shards the positions from `start` to `stop` consist.

    Args:
        counts: samples of each shard.
        order: of the shards.
    """
    ends = np.cumsum(np.asarray(counts, np.int64)[order])
    pieces = []
    for place in range(int(np.searchsorted(ends, start, "right")), len(order)):
        begin = int(ends[place]) - int(counts[order[place]])
        if begin >= stop:
            break
        first, last = max(start, begin), min(stop, int(ends[place]))
        if last > first:
            pieces.append(Piece(int(order[place]), first - begin, last - first))
    return pieces


def emission_order(length: int, buffer: int, seed: int, epoch: int, stream: int) -> np.ndarray:
    """Positions 0 .. length - 1 of a stream in the order a shuffle buffer gives them out.

    The buffer holds the first `buffer` samples; one of them at random leaves it and the next one takes its place, until
    none comes; the rest leave in random order.

    Args:
        buffer: at least 1; 1 keeps the order.
    Returns:
        (length,) int64, a permutation.
    """
    rng = np.random.default_rng((_EMISSION, seed, epoch, stream))
    held = list(range(min(buffer, length)))
    out = []
    for arriving, place in enumerate(rng.integers(buffer, size=max(length - buffer, 0)).tolist(), start=buffer):
        out.append(held[place])
        held[place] = arriving
    return np.array(out + rng.permutation(np.array(held, np.int64)).tolist(), np.int64)


def part_of(streams: range, parts: int, part: int) -> range:
    """The streams of one of several equal parts."""
    share = len(streams) // parts
    return streams[part * share : (part + 1) * share]


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`, at least 1."""
    return next(d for d in range(max(1, min(number, most)), 0, -1) if number % d == 0)


def check_streams(streams: int, batch_size: int, world_size: int) -> None:
    """Refuse numbers of streams that a batch or the processes cannot share equally.

    Raises:
        ValueError: names those that they can.
    """
    if streams >= 1 and batch_size % streams == 0 and streams % world_size == 0:
        return
    fits = [s for s in range(world_size, batch_size + 1, world_size) if batch_size % s == 0]
    advice = f"pass --streams {' or '.join(map(str, fits))}" if fits else "pass a --batch_size that they divide"
    raise ValueError(
        f"--streams {streams} must divide --batch_size {batch_size} and be divisible by {world_size} ranks; {advice}"
    )
