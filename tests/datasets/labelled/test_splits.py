import numpy as np
import pytest
import torch

from datasets.labelled.splits import stratified_split

LABELS = np.array([0] * 40 + [1] * 2 + [2] * 7 + [3] + [4] * 23)[np.random.default_rng(0).permutation(73)]


def test_the_parts_are_disjoint_sorted_and_cover_every_row():
    fit, val = stratified_split(LABELS)
    assert sorted([*fit, *val]) == list(range(73))
    assert fit.tolist() == sorted(fit)
    assert val.tolist() == sorted(val)


@pytest.mark.parametrize("val_fraction", [0.01, 0.1, 0.5, 0.99])
def test_every_class_of_two_or_more_is_in_both_parts(val_fraction):
    fit, val = stratified_split(LABELS, val_fraction=val_fraction)
    assert {0, 1, 2, 4} <= set(LABELS[fit])
    assert set(LABELS[val]) == {0, 1, 2, 4}


def test_each_class_gives_its_share():
    _, val = stratified_split(LABELS, val_fraction=0.25)
    assert np.bincount(LABELS[val], minlength=5).tolist() == [10, 1, 2, 0, 6]


def test_a_class_of_one_stays_in_the_fitting_part():
    fit, _ = stratified_split(LABELS)
    assert 3 in LABELS[fit]


def test_the_split_depends_on_the_seed_alone():
    first, again, other = (stratified_split(LABELS, seed=seed)[1].tolist() for seed in (5, 5, 6))
    assert first == again != other


def test_a_tensor_of_labels_gives_the_same_split():
    for array, tensor in zip(stratified_split(LABELS), stratified_split(torch.from_numpy(LABELS))):
        np.testing.assert_array_equal(array, tensor)


@pytest.mark.parametrize(
    "labels, val_fraction, message",
    [([], 0.1, "non-empty vector"), ([[1], [2]], 0.1, r"got shape \(2, 1\)"), ([1, 2], 0.0, "between 0 and 1, got 0")],
)
def test_bad_arguments_are_refused(labels, val_fraction, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(labels, val_fraction=val_fraction)
