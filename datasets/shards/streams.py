"""One stream of an epoch, read shard by shard and given out in its shuffled order."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from datasets.shards.index import Shard, ShardIndex
from datasets.shards.order import Piece, emission_order, shard_order, stream_bounds, stream_pieces
from datasets.shards.samples import SampleReader, StoredSample
from datasets.shards.source import ShardSource


class EpochOrder(NamedTuple):
    """What decides the order of samples in an epoch, and nothing else does."""

    seed: int
    epoch: int
    streams: int
    buffer: int


def epoch_shards(index: ShardIndex, epoch: int) -> list[Shard]:
    """Those of the pass that an epoch reads."""
    return index.passes[epoch % len(index.passes)]


def read_stream(
    source: ShardSource, index: ShardIndex, order: EpochOrder, stream: int, first: int, last: int
) -> Iterator[StoredSample]:
    """The samples that a stream gives out as its number `first` up to `last` - 1.

    Reading starts at the earliest sample that is still to come. What is not given out is passed over; a shard that
    holds nothing else is not opened. Close the iterator to close its file or the program that fetches.

    Raises:
        OSError: a shard cannot be read.
        ValueError: a shard is damaged.
    """
    shards = epoch_shards(index, order.epoch)
    bounds = stream_bounds(index.shapes, order.streams)
    start, stop = bounds[stream : stream + 2].tolist()
    sequence = shard_order(len(shards), order.seed, order.epoch)
    pieces = stream_pieces([shard.samples for shard in shards], sequence, start, stop)
    emission = emission_order(stop - start, order.buffer, order.seed, order.epoch, stream)[first:last]
    wanted = np.zeros(stop - start, bool)
    wanted[emission] = True
    held: dict[int, StoredSample] = {}
    with closing(_read_wanted(source, index, shards, pieces, wanted)) as arriving:
        for position in emission.tolist():
            while position not in held:
                arrived, sample = next(arriving)
                held[arrived] = sample
            yield held.pop(position)


def _read_wanted(
    source: ShardSource, index: ShardIndex, shards: list[Shard], pieces: list[Piece], wanted: np.ndarray
) -> Iterator[tuple[int, StoredSample]]:
    """(position in the stream, sample) of all that is wanted, in the order of the shards."""
    position = 0
    for piece in pieces:
        places = np.flatnonzero(wanted[position : position + piece.count])
        if len(places):
            shard = shards[piece.shard]
            with source.open_shard(shard) as stream:
                reader = SampleReader(stream, source.where(shard.name), shard.bytes, index)
                gaps = np.diff(places, prepend=-1) - 1
                gaps[0] += piece.first
                for gap, place in zip(gaps.tolist(), places.tolist()):
                    reader.skip(gap)
                    yield position + place, reader.read()
        position += piece.count
