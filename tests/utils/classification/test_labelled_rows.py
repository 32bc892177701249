import itertools

import numpy as np
import pytest

from utils.classification.labelled_rows import LabelSettings, choose_rows

LABELS = np.repeat(np.arange(4), [40, 30, 7, 20])


def rows(labels=LABELS, seed=3, **flags):
    return choose_rows(labels, LabelSettings(**flags), seed)


def test_labelled_clouds_of_a_smaller_fraction_are_among_those_of_a_larger():
    chosen = [set(rows(label_fraction=f, select="last").fit) for f in (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)]
    assert all(small <= large for small, large in itertools.pairwise(chosen))
    assert [len(one) for one in chosen] == [4, 6, 10, 19, 49, 97]


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_every_class_is_labelled_in_proportion(fraction):
    counts = np.bincount(LABELS[rows(label_fraction=fraction, select="last").fit])
    assert counts.tolist() == [max(round(n * fraction), 1) for n in (40, 30, 7, 20)]


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_validation_clouds_are_labelled_ones_and_are_not_trained_on(fraction):
    labelled = rows(label_fraction=fraction, select="last").fit
    chosen = rows(label_fraction=fraction, select="val", val_fraction=0.25)
    assert sorted([*chosen.fit, *chosen.val]) == labelled.tolist()
    assert 0 < len(chosen.val) < len(chosen.fit)


def test_the_seed_decides_both_draws():
    drawn = [rows(label_fraction=0.5, select="last", seed=seed).fit.tolist() for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    held = [rows(select="val", seed=seed).val.tolist() for seed in (3, 3, 4)]
    assert held[0] == held[1] != held[2]


def test_by_default_the_epoch_is_chosen_only_where_every_class_can_spare_its_share():
    assert len(rows(val_fraction=0.1).val) == 0  # 7 clouds have no tenth
    assert len(rows(val_fraction=0.15).val) > 0
    assert len(rows(val_fraction=0.15, label_fraction=0.5).val) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"label_fraction": 0}, "--label_fraction must be above 0"),
        ({"label_fraction": 1.1}, "--label_fraction must be above 0"),
        ({"val_fraction": 1}, "--val_fraction must be between 0 and 1"),
        ({"label_fraction": 0.01, "select": "val"}, "finds nothing to hold out: 4 labelled clouds"),
        ({"labels": np.zeros(9, int)}, "single class"),
    ],
)
def test_labels_that_cannot_be_divided_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        rows(**flags)
