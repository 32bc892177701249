import itertools

import numpy as np
import pytest
import torch

from datasets.labelled.subsets import stratified_subset

LABELS = np.array([0] * 40 + [1] * 2 + [2] * 7 + [3] + [4] * 23)[np.random.default_rng(0).permutation(73)]


def test_each_class_gives_its_share_and_at_least_one():
    assert np.bincount(LABELS[stratified_subset(LABELS, 0.1)]).tolist() == [4, 1, 1, 1, 2]
    assert np.bincount(LABELS[stratified_subset(LABELS, 0.5)]).tolist() == [20, 1, 4, 1, 12]


def test_rows_are_sorted_and_occur_once():
    rows = stratified_subset(LABELS, 0.5)
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_the_whole_is_every_row():
    assert stratified_subset(LABELS, 1.0, seed=3).tolist() == list(range(73))


def test_smaller_fractions_are_nested_in_larger_ones():
    subsets = [set(stratified_subset(LABELS, fraction, seed=3).tolist()) for fraction in (0.01, 0.05, 0.1, 0.2, 0.5, 1)]
    assert all(small <= large for small, large in itertools.pairwise(subsets))
    assert len(subsets[0]) < len(subsets[2]) < len(subsets[4])


def test_the_draw_depends_on_the_seed_alone():
    first, again, other = (stratified_subset(LABELS, 0.2, seed).tolist() for seed in (5, 5, 6))
    assert first == again != other


def test_the_draw_of_a_class_does_not_depend_on_the_others():
    alone = np.flatnonzero(LABELS == 4)[stratified_subset(LABELS[LABELS == 4], 0.3)]
    together = stratified_subset(LABELS, 0.3)
    assert alone.tolist() == together[LABELS[together] == 4].tolist()


def test_a_tensor_of_labels_gives_the_same_rows():
    np.testing.assert_array_equal(stratified_subset(LABELS, 0.3), stratified_subset(torch.from_numpy(LABELS), 0.3))


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        stratified_subset(LABELS, fraction)


@pytest.mark.parametrize("labels", [[], [[1], [2]]])
def test_labels_of_another_shape_are_refused(labels):
    with pytest.raises(ValueError, match="non-empty vector"):
        stratified_subset(labels, 0.1)
