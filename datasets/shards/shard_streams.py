"""One stream of an epoch, read shard by shard and given out in its shuffled order."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from datasets.shards.shard_index import Shard, ShardIndex
from datasets.shards.shard_order import Piece, emission_order, shard_order, stream_bounds, stream_pieces
from datasets.shards.shard_samples import SampleReader, StoredSample
from datasets.shards.shard_source import ShardSource

AHEAD = 16  # numbers that are looked at in place of one that is damaged


class EpochOrder(NamedTuple):
    """What decides the order of samples in an epoch, and nothing else does."""

    seed: int
    epoch: int
    streams: int
    buffer: int


def epoch_shards(index: ShardIndex, epoch: int) -> list[Shard]:
    """Those of the pass that an epoch reads."""
    return index.passes[epoch % len(index.passes)]


class StreamReader:
    """The samples of a stream, by the number under which each is given out.

    Reading starts at the earliest sample that is still to come. What is not given out is passed over; a shard that
    holds nothing else is not opened. Close it to close its file or the program that fetches.

    Args:
        first, last: numbers from `first` up to `last` - 1 are given out.
        skips_bad: what is damaged is an error where it is looked at, not as soon as it is read; and AHEAD numbers more,
            as far as the stream goes, can be looked at.
    """

    def __init__(
        self,
        source: ShardSource,
        index: ShardIndex,
        order: EpochOrder,
        stream: int,
        first: int,
        last: int,
        *,
        skips_bad: bool = False,
    ):
        shards = epoch_shards(index, order.epoch)
        bounds = stream_bounds(index.shapes, order.streams)
        start, stop = bounds[stream : stream + 2].tolist()
        sequence = shard_order(len(shards), order.seed, order.epoch)
        pieces = stream_pieces([shard.samples for shard in shards], sequence, start, stop)
        emission = emission_order(stop - start, order.buffer, order.seed, order.epoch, stream)
        emission = emission[first : last + AHEAD if skips_bad else last]
        wanted = np.zeros(stop - start, bool)
        wanted[emission] = True
        self._first, self._emission = first, emission.tolist()
        self.end = first + len(emission)  # of the numbers that can be looked at
        self._left = 0
        self._held: dict[int, StoredSample | str] = {}  # or what is wrong with it
        self._arriving = _read_wanted(source, index, shards, pieces, wanted, skips_bad)

    def look(self, number: int) -> StoredSample:
        """The sample of this number, from `first` up to `end` - 1, which was not left yet.

        Raises:
            OSError: a shard cannot be read.
            ValueError: a shard is damaged.
        """
        position = self._emission[number - self._first]
        while position not in self._held:
            arrived, found = next(self._arriving)
            self._held[arrived] = found
        found = self._held[position]
        if isinstance(found, str):
            raise ValueError(found)
        return found

    def leave(self, number: int) -> None:
        """Forget all before this number, each of which was looked at."""
        left = number - self._first
        for position in self._emission[self._left : left]:
            del self._held[position]
        self._left = left

    def close(self) -> None:
        """Read no more."""
        self._arriving.close()


def _read_wanted(
    source: ShardSource,
    index: ShardIndex,
    shards: list[Shard],
    pieces: list[Piece],
    wanted: np.ndarray,
    skips_bad: bool,
) -> Iterator[tuple[int, StoredSample | str]]:
    """(position in the stream, sample) of all that is wanted, in the order of the shards.

    With `skips_bad` a text of what is wrong is in the place of what is damaged; it depends on the shard alone, not on
    what else of it is wanted.
    """
    position = 0
    for piece in pieces:
        places = np.flatnonzero(wanted[position : position + piece.count])
        if len(places):
            gaps = np.diff(places, prepend=-1) - 1
            gaps[0] += piece.first
            samples = _read_places(source, index, shards[piece.shard], gaps.tolist(), skips_bad)
            with closing(samples):
                yield from zip((position + places).tolist(), samples)
        position += piece.count


def _read_places(
    source: ShardSource, index: ShardIndex, shard: Shard, gaps: list[int], skips_bad: bool
) -> Iterator[StoredSample | str]:
    """One sample of a shard after each gap, or what is wrong with it."""
    try:
        stream = source.open_shard(shard, may_be_cut=skips_bad)
    except ValueError as error:
        if not skips_bad:
            raise
        yield from [str(error)] * len(gaps)
        return
    with stream:
        reader = SampleReader(stream, source.where(shard.name), shard.bytes, index)
        for gap in gaps:
            try:
                reader.skip(gap)
                found = reader.read()
            except ValueError as error:
                if not skips_bad:
                    raise
                found = str(error)
            yield found
