"""datasets.labelled.stratified with classes of every size."""

import itertools

import numpy as np
import pytest
import torch

from datasets.labelled.stratified import NEVER_HELD_OUT, stratified_folds, stratified_split, stratified_subset

LABELS = np.array([0] * 40 + [1] * 2 + [2] * 7 + [3] + [4] * 23)[np.random.default_rng(0).permutation(73)]


def of_split(labels, fraction=0.25, seed=0):
    return stratified_split(labels, val_fraction=fraction, seed=seed)[1]


def of_subset(labels, fraction=0.25, seed=0):
    return stratified_subset(labels, fraction, seed)


def of_folds(labels, fraction=0.25, seed=0):
    return stratified_folds(labels, 5, seed)


@pytest.mark.parametrize("select", [of_split, of_subset, of_folds])
def test_a_selection_depends_on_the_seed_alone(select):
    first, again, other = (select(LABELS, seed=seed).tolist() for seed in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize("select", [of_split, of_subset])
def test_a_tensor_of_labels_gives_the_same_rows_as_an_array(select):
    np.testing.assert_array_equal(select(LABELS), select(torch.from_numpy(LABELS)))


@pytest.mark.parametrize("select", [of_split, of_subset])
def test_the_draw_of_a_class_does_not_depend_on_the_others(select):
    alone = np.flatnonzero(LABELS == 4)[select(LABELS[LABELS == 4])]
    together = select(LABELS)
    assert alone.tolist() == together[LABELS[together] == 4].tolist()


@pytest.mark.parametrize("select", [of_split, of_subset])
@pytest.mark.parametrize("labels, message", [([], "non-empty vector"), ([[1], [2]], r"got shape \(2, 1\)")])
def test_labels_that_are_no_vector_are_refused(select, labels, message):
    with pytest.raises(ValueError, match=message):
        select(labels)


@pytest.mark.parametrize(
    "select, fraction, message",
    [(of_split, 0.0, "between 0 and 1, got 0"), (of_split, 1.0, "between 0 and 1")]
    + [(of_subset, fraction, "above 0 and at most 1") for fraction in (0, -0.1, 1.01, float("nan"))],
)
def test_a_fraction_out_of_range_is_refused(select, fraction, message):
    with pytest.raises(ValueError, match=message):
        select(LABELS, fraction)


def test_both_parts_of_a_split_are_sorted_disjoint_and_cover_every_row():
    fit, val = stratified_split(LABELS)
    assert sorted([*fit, *val]) == list(range(73))
    assert fit.tolist() == sorted(fit)
    assert val.tolist() == sorted(val)


@pytest.mark.parametrize("val_fraction", [0.01, 0.1, 0.5, 0.99])
def test_every_class_of_two_or_more_is_in_both_parts_and_a_class_of_one_is_fitted(val_fraction):
    fit, val = stratified_split(LABELS, val_fraction=val_fraction)
    assert set(LABELS[fit]) == {0, 1, 2, 3, 4}
    assert set(LABELS[val]) == {0, 1, 2, 4}


@pytest.mark.parametrize(
    "select, fraction, counts",
    [(of_split, 0.25, [10, 1, 2, 0, 6]), (of_subset, 0.1, [4, 1, 1, 1, 2]), (of_subset, 0.5, [20, 1, 4, 1, 12])],
)
def test_each_class_gives_its_share_and_to_a_subset_at_least_one(select, fraction, counts):
    assert np.bincount(LABELS[select(LABELS, fraction)], minlength=5).tolist() == counts


def test_rows_of_a_subset_are_sorted_and_occur_once():
    rows = stratified_subset(LABELS, 0.5)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert stratified_subset(LABELS, 1.0, seed=3).tolist() == list(range(73))


def test_smaller_subsets_are_nested_in_larger_ones():
    subsets = [set(stratified_subset(LABELS, fraction, seed=3).tolist()) for fraction in (0.01, 0.05, 0.1, 0.2, 0.5, 1)]
    assert all(small <= large for small, large in itertools.pairwise(subsets))
    assert len(subsets[0]) < len(subsets[2]) < len(subsets[4])


def test_folds_and_each_class_within_them_differ_by_one_row_at_most():
    fold = stratified_folds(LABELS, 5, seed=0)
    for rows in (fold != NEVER_HELD_OUT, *(np.equal(LABELS, label) for label in (0, 1, 2, 4))):
        counts = np.bincount(fold[rows], minlength=5)
        assert counts.sum() == rows.sum()
        assert counts.max() - counts.min() <= 1


def test_every_class_is_in_the_fitting_part_of_every_fold_and_its_only_row_never_held_out():
    fold = stratified_folds(LABELS, 5, seed=0)
    assert (fold == NEVER_HELD_OUT).tolist() == (LABELS == 3).tolist()
    for held_out in range(5):
        assert set(LABELS[fold != held_out]) == {0, 1, 2, 3, 4}


def test_a_single_fold_is_refused():
    with pytest.raises(ValueError, match="at least 2 folds"):
        stratified_folds(LABELS, 1, seed=0)
