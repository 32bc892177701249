"""The order in which training reads shards: pure functions of numbers, equal on any number of processes.

Each epoch draws an order of its shards and concatenates them. Their N samples are divided into S contiguous streams:
stream j holds the positions from floor(j N / S) up to floor((j + 1) N / S). A step takes equally many samples from
each stream, in the order in which a shuffle buffer releases them, which is computed before anything is read. Each
rank, and each worker of a rank, reads a contiguous range of the streams.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_SHARDS, _EMISSION = 0x5348, 0x454D  # keep the random streams of the two purposes apart


class Piece(NamedTuple):
    """A run of `count` samples of one shard, starting at its sample `first`."""

    shard: int
    first: int
    count: int


def shard_order(num_shards: int, seed: int, epoch: int) -> np.ndarray:
    """Draw the order of an epoch's shards, a permutation (num_shards,) int64."""
    return np.random.default_rng((_SHARDS, seed, epoch)).permutation(num_shards)


def stream_bounds(num_samples: int, streams: int) -> np.ndarray:
    """Return the start of each stream and the end of the last one, (S + 1,) int64."""
    return np.arange(streams + 1, dtype=np.int64) * num_samples // streams


def stream_pieces(counts: Sequence[int], order: np.ndarray, start: int, stop: int) -> list[Piece]:
    """Map the positions from `start` up to `stop` to runs of samples within shards.

    Args:
        counts: number of samples of each shard.
        order: the epoch's order of the shards.
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
    """Order the positions 0 .. length - 1 of a stream as a shuffle buffer releases them.

    The buffer starts with the first `buffer` samples. A random one is released and the next sample of the stream takes
    its place, until the stream ends; the rest are released in random order.

    Args:
        buffer: number of samples held, at least 1; 1 keeps the order.
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
    """Select the `part`-th of `parts` equal contiguous ranges of the streams."""
    share = len(streams) // parts
    return streams[part * share : (part + 1) * share]


def largest_divisor(number: int, most: int) -> int:
    """Return the largest divisor of `number` that does not exceed `most`, at least 1."""
    return next(d for d in range(max(1, min(number, most)), 0, -1) if number % d == 0)


def check_streams(streams: int, batch_size: int, world_size: int) -> None:
    """Check that batches take equally many samples from each stream, and that ranks read equally many streams.

    Raises:
        ValueError: they cannot; the message names the numbers of streams that fit.
    """
    if streams >= 1 and batch_size % streams == 0 and streams % world_size == 0:
        return
    fits = [s for s in range(world_size, batch_size + 1, world_size) if batch_size % s == 0]
    advice = f"pass --streams {' or '.join(map(str, fits))}" if fits else "pass a --batch_size that they divide"
    raise ValueError(
        f"--streams {streams} must divide --batch_size {batch_size} and be divisible by {world_size} ranks; {advice}"
    )
