"""Selection of pairs: exactly P valid rows, by each mode's definition."""

from collections import Counter

import numpy as np
import pytest

from datasets.pairs.pair_selection import SELECTIONS, select_pairs


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def rows(rng):
    """60 pairs of 20 points, some seen in several views."""
    return np.column_stack([rng.integers(0, 4, 60), rng.integers(0, 32, (60, 2)), rng.integers(0, 20, 60)])


@pytest.fixture
def rank(rng):
    return rng.permutation(20)


def as_counts(rows):
    return Counter(map(tuple, rows.tolist()))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("count", [1, 13, 60, 61, 150])
def test_returns_that_many_valid_rows_evenly_repeated(rows, rank, rng, selection, count):
    found = select_pairs(rows, count, selection, rng, rank)
    assert found.shape == (count, 4)
    available, taken = as_counts(rows), as_counts(found)
    turns = -(-count // 60)
    assert all((turns - 1) * available[row] <= taken[row] <= turns * available[row] for row in available)
    assert taken.keys() <= available.keys()


def test_fps_takes_all_pixels_of_the_first_points(rows, rank, rng):
    found = select_pairs(rows, 25, "fps", rng, rank)
    by_rank = sorted(rank[rows[:, 3]].tolist())
    assert rank[found[:, 3]].tolist() == by_rank[:25]


def test_sps_takes_a_pixel_of_each_point_in_turn(rows, rank, rng):
    ranks = Counter(rank[rows[:, 3]].tolist())
    expected, turn = [], 0
    while len(expected) < 45:
        expected += [place for place in sorted(ranks) if ranks[place] > turn]
        turn += 1
    assert rank[select_pairs(rows, 45, "sps", rng, rank)[:, 3]].tolist() == expected[:45]
    distinct = len(ranks)
    assert len(set(select_pairs(rows, distinct, "sps", rng, rank)[:, 3].tolist())) == distinct


def test_the_choice_among_pixels_of_a_point_is_random(rows, rank):
    drawn = {tuple(select_pairs(rows, 3, "sps", np.random.default_rng(seed), rank).flatten()) for seed in range(20)}
    assert len(drawn) > 3
