"""Stratified folds with classes of every size."""

import numpy as np
import pytest

from datasets.labelled.folds import NEVER_HELD_OUT, stratified_folds

# 13 rows of class 4, 5 of class 0, 2 of class 9, one of class 7, interleaved.
LABELS = np.random.default_rng(0).permutation(np.repeat([4, 0, 9, 7], [13, 5, 2, 1]))


def test_each_class_is_spread_as_evenly_as_its_size_allows():
    fold = stratified_folds(LABELS, 5, seed=0)
    for label in (0, 4, 9):
        counts = np.bincount(fold[np.equal(LABELS, label)], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_fold_sizes_differ_by_one_at_most():
    fold = stratified_folds(LABELS, 5, seed=0)
    counts = np.bincount(fold[fold != NEVER_HELD_OUT], minlength=5)
    assert counts.sum() == 20
    assert counts.max() - counts.min() <= 1


def test_the_only_row_of_a_class_is_never_held_out():
    fold = stratified_folds(LABELS, 5, seed=0)
    assert (fold == NEVER_HELD_OUT).tolist() == (LABELS == 7).tolist()


def test_every_class_is_in_the_fitting_part_of_every_fold():
    fold = stratified_folds(LABELS, 5, seed=0)
    for held_out in range(5):
        assert set(LABELS[fold != held_out]) == {0, 4, 7, 9}


def test_the_seed_decides():
    a, b = stratified_folds(LABELS, 5, seed=0), stratified_folds(LABELS, 5, seed=1)
    assert np.array_equal(a, stratified_folds(LABELS, 5, seed=0))
    assert not np.array_equal(a, b)


def test_a_single_fold_is_refused():
    with pytest.raises(ValueError, match="at least 2 folds"):
        stratified_folds(LABELS, 1, seed=0)
