"""Rows of a batch from several streams, and what becomes of those whose sample is damaged."""

from collections.abc import Sequence
from typing import NamedTuple

from datasets.pairs.render_pairs import Item
from datasets.shards.shard_pairs import ShardPairs, check_distinct_shapes
from datasets.shards.shard_samples import StoredSample
from datasets.shards.shard_streams import AHEAD, StreamReader


class Row(NamedTuple):
    """An item, its sample, and "" or what is wrong with the sample in whose place it is."""

    item: Item
    sample: StoredSample
    fault: str = ""


def read_rows(pairs: ShardPairs, streams: Sequence[StreamReader], numbers: range) -> list[Row]:
    """Those of these numbers of each stream, stream by stream.

    Raises:
        OSError: a shard cannot be read.
        ValueError: a shard or a sample is damaged.
    """
    samples = [stream.look(number) for stream in streams for number in numbers]
    return [Row(item, sample) for item, sample in zip(pairs.items(samples), samples)]


def read_sound_rows(pairs: ShardPairs, streams: Sequence[StreamReader], numbers: range) -> list[Row]:
    """As `read_rows`; in the place of a damaged sample is the next sound one of its stream.

    Which one that is depends on the stream and the shards alone: it is also given out under its own number, so that it
    may occur twice in a batch.

    Raises:
        OSError: a shard cannot be read.
        ValueError: a sample is damaged and so are the AHEAD that follow it, or all to the end of the stream.
    """
    try:
        return read_rows(pairs, streams, numbers)
    except ValueError:  # of one of them, at least: which?
        rows = [_sound_row(pairs, stream, number) for stream in streams for number in numbers]
    check_distinct_shapes([row.sample for row in rows if not row.fault])
    return rows


def _sound_row(pairs: ShardPairs, stream: StreamReader, number: int) -> Row:
    faults = []
    for following in range(number, min(number + AHEAD + 1, stream.end)):
        try:
            sample = stream.look(following)
            (item,) = pairs.items([sample])
        except ValueError as error:
            faults.append(" ".join(str(error).splitlines()))  # a line of the log
        else:
            return Row(item, sample, faults[0] if faults else "")
    raise ValueError(f"{faults[0]}; nor can any of the {len(faults) - 1} samples after it be read")
