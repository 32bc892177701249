"""The order of reading: every sample once, equal parts, the same whoever reads."""

import itertools
from functools import partial

import numpy as np
import pytest

from datasets.shards import shard_order


def emitted(counts, streams, buffer, seed=0, epoch=0):
    """(shard, sample) in the order of each stream, as readers find them."""
    sequence = shard_order.shard_order(len(counts), seed, epoch)
    bounds = shard_order.stream_bounds(sum(counts), streams).tolist()
    result = []
    for stream, (start, stop) in enumerate(itertools.pairwise(bounds)):
        pieces = shard_order.stream_pieces(counts, sequence, start, stop)
        places = [(piece.shard, piece.first + i) for piece in pieces for i in range(piece.count)]
        result.append([places[i] for i in shard_order.emission_order(stop - start, buffer, seed, epoch, stream)])
    return result


@pytest.mark.parametrize("streams", [1, 2, 7, 13])
@pytest.mark.parametrize("counts", [[101], [5, 1, 31, 7, 53, 3], [1] * 17, [0, 13, 0, 2]])
def test_every_sample_is_read_once_and_streams_are_equal(counts, streams):
    if sum(counts) < streams:
        pytest.skip("fewer samples than streams")
    parts = emitted(counts, streams, buffer=11)
    expected = {(shard, i) for shard, count in enumerate(counts) for i in range(count)}
    assert sorted(place for part in parts for place in part) == sorted(expected)
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("length, buffer", [(97, 1), (97, 10), (97, 97), (5, 100), (0, 3)])
def test_a_shuffle_buffer_gives_out_only_what_it_can_hold(length, buffer):
    positions = shard_order.emission_order(length, buffer, 0, 0, 0)
    assert positions.dtype == np.int64
    assert sorted(positions) == list(range(length))
    assert all(position < step + buffer for step, position in enumerate(positions))
    if buffer == 1:
        assert positions.tolist() == list(range(length))


@pytest.mark.parametrize(
    "order, others",
    [
        (partial(shard_order.emission_order, 50, 8), [(1, 0, 0), (0, 1, 0), (0, 0, 1)]),
        (partial(shard_order.emission_order, 20, 20), [(1, 0, 0)]),
        (partial(shard_order.shard_order, 30), [(1, 0), (0, 1)]),
    ],
    ids=["samples", "all in the buffer", "shards"],
)
def test_an_order_is_a_shuffle_that_repeats_and_seed_epoch_and_stream_each_change(order, others):
    zeros = (0,) * len(others[0])
    first, again, *rest = (order(*key).tolist() for key in (zeros, zeros, *others))
    assert first == again
    assert len({*map(tuple, (sorted(first), first, *rest))}) == len(others) + 2


def test_any_sample_can_leave_first():
    firsts = {int(shard_order.emission_order(40, 4, seed, 0, 0)[0]) for seed in range(60)}
    assert firsts == {0, 1, 2, 3}


def test_parts_are_contiguous_and_cover_all_streams():
    ranks = [shard_order.part_of(range(24), 4, rank) for rank in range(4)]
    workers = [shard_order.part_of(mine, 3, worker) for mine in ranks for worker in range(3)]
    assert [stream for part in workers for stream in part] == list(range(24))


@pytest.mark.parametrize("number, most, expected", [(20, 16, 10), (16, 16, 16), (7, 3, 1), (13, 16, 13), (8, 0, 1)])
def test_the_largest_divisor(number, most, expected):
    assert shard_order.largest_divisor(number, most) == expected


@pytest.mark.parametrize(
    "streams, batch, ranks, message",
    [
        (3, 20, 1, "--streams 3 must divide --batch_size 20 .*pass --streams 1 or 2 or 4 or 5"),
        (5, 20, 2, "--streams 5 must divide --batch_size 20 .*--streams 2 or 4 or 10 or 20"),
        (0, 6, 3, "--streams 0 must divide --batch_size 6 .*3 or 6"),
        (4, 20, 3, "--batch_size 20 .* by 3 ranks; pass a --batch_size that they divide"),
    ],
)
def test_streams_that_do_not_fit_are_refused_with_those_that_do(streams, batch, ranks, message):
    with pytest.raises(ValueError, match=message):
        shard_order.check_streams(streams, batch, ranks)
    shard_order.check_streams(10, 20, 2)
