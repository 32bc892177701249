"""Batch rows read from several streams, with damaged samples raised or replaced."""

from collections.abc import Sequence
from typing import NamedTuple

from datasets.pairs.render_pairs import Item
from datasets.shards.shard_pairs import ShardPairs, check_distinct_shapes
from datasets.shards.shard_samples import StoredSample
from datasets.shards.shard_streams import AHEAD, StreamReader


class Row(NamedTuple):
    """An item and its sample; `fault` describes the damaged sample that it replaces, "" where it replaces none."""

    item: Item
    sample: StoredSample
    fault: str = ""


def read_rows(pairs: ShardPairs, streams: Sequence[StreamReader], numbers: range) -> list[Row]:
    """Read the samples with these numbers from each stream, stream by stream.

    Raises:
        OSError: a shard cannot be read.
        ValueError: a shard or a sample is damaged.
    """
    samples = [stream.sample_at(number) for stream in streams for number in numbers]
    return [Row(item, sample) for item, sample in zip(pairs.items(samples), samples)]


def read_sound_rows(pairs: ShardPairs, streams: Sequence[StreamReader], numbers: range) -> list[Row]:
    """Read rows as `read_rows` does, replacing a damaged sample by the next sound one of its stream.

    The replacement depends on the stream and the shards alone. It is also released under its own number, so it may
    occur twice in a batch.

    Raises:
        OSError: a shard cannot be read.
        ValueError: a sample is damaged, and so are the next AHEAD samples or all up to the end of the stream.
    """
    try:
        return read_rows(pairs, streams, numbers)
    except ValueError:  # at least one is damaged: read them one by one to find out which
        rows = [_sound_row(pairs, stream, number) for stream in streams for number in numbers]
    check_distinct_shapes([row.sample for row in rows if not row.fault])
    return rows


def _sound_row(pairs: ShardPairs, stream: StreamReader, number: int) -> Row:
    faults = []
    for following in range(number, min(number + AHEAD + 1, stream.end)):
        try:
            sample = stream.sample_at(following)
            (item,) = pairs.items([sample])
        except ValueError as error:
            faults.append(" ".join(str(error).splitlines()))  # one line of the log
        else:
            return Row(item, sample, faults[0] if faults else "")
    raise ValueError(f"{faults[0]}; nor can any of the {len(faults) - 1} samples after it be read")
