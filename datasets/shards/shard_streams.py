"""Reader of one stream of an epoch: it reads shard by shard and returns samples in shuffled order."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from datasets.shards.shard_index import Shard, ShardIndex
from datasets.shards.shard_order import Piece, emission_order, shard_order, stream_bounds, stream_pieces
from datasets.shards.shard_samples import SampleReader, StoredSample
from datasets.shards.shard_source import ShardSource

AHEAD = 16  # samples tried in place of a damaged one


class EpochOrder(NamedTuple):
    """All that determines the order of samples in an epoch."""

    seed: int
    epoch: int
    streams: int
    buffer: int


def epoch_shards(index: ShardIndex, epoch: int) -> list[Shard]:
    """Return the shards of the pass that an epoch reads."""
    return index.passes[epoch % len(index.passes)]


class StreamReader:
    """The samples of a stream, numbered in shuffled order.

    Reading starts at the first sample that will be returned. Others are skipped, and a shard without any to return is
    not opened. Call `close` to close the file or stop the program that fetches it.

    Args:
        first, last: samples numbered `first` up to `last` - 1 are returned.
        skips_bad: raise the error of a damaged sample when it is requested rather than when it is read, and allow
            requests of AHEAD more samples, up to the end of the stream.
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
        self.end = first + len(emission)  # numbers below it can be requested
        self._released = 0
        self._held: dict[int, StoredSample | str] = {}  # a sample, or the error of a damaged one
        self._arriving = _read_wanted(source, index, shards, pieces, wanted, skips_bad)

    def sample_at(self, number: int) -> StoredSample:
        """Return the sample with this number, in [first, end) and not yet released.

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

    def release(self, number: int) -> None:
        """Drop all samples before this number; each must have been requested."""
        released = number - self._first
        for position in self._emission[self._released : released]:
            del self._held[position]
        self._released = released

    def close(self) -> None:
        """Stop reading."""
        self._arriving.close()


def _read_wanted(
    source: ShardSource,
    index: ShardIndex,
    shards: list[Shard],
    pieces: list[Piece],
    wanted: np.ndarray,
    skips_bad: bool,
) -> Iterator[tuple[int, StoredSample | str]]:
    """Yield (position in the stream, sample) for each wanted position, in the order of the shards.

    With `skips_bad`, the text of its error stands in for a damaged sample; it depends on the shard alone, not on which
    of its samples are wanted.
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
    """Skip each gap in a shard and yield the sample after it, or the text of its error."""
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
