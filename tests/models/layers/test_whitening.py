"""Whitening: directions of large variance come out equally long, small ones stay, and labels play no part."""

import numpy as np
import pytest

from models.layers.whitening import fit_whitening

RNG = np.random.default_rng(0)
AXES = np.linalg.qr(RNG.standard_normal((6, 6)))[0]
SPREAD = np.array([30, 10, 3, 0.01, 0.001, 0.0001])
FEATURES = RNG.standard_normal((400, 6)) * SPREAD @ AXES + 7


def variances(features):
    return np.linalg.eigvalsh(np.cov(features.T, bias=True))[::-1]


def test_each_principal_direction_is_shortened_by_its_own_variance():
    found = fit_whitening(FEATURES, 1e-4)(FEATURES)
    before = variances(FEATURES)
    smallest = 1e-4 * before[0]
    np.testing.assert_allclose(variances(found), np.sort(before * smallest / (before + smallest))[::-1], rtol=1e-3)
    assert np.ptp(variances(found)[:3]) < 0.02 * smallest < 0.02 * np.ptp(before[:3])  # nearly equal now
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)


def test_no_direction_is_turned():
    found = fit_whitening(FEATURES, 1e-3)(FEATURES).astype(np.float64)
    centred = FEATURES - FEATURES.mean(axis=0)
    mixed = found.T @ centred  # symmetric, as the map is
    np.testing.assert_allclose(mixed, mixed.T, atol=1e-3 * abs(mixed).max())


def test_fewer_rows_than_columns_give_the_map_of_the_covariance():
    few = np.repeat(FEATURES[:5], 2, axis=0)
    wide, tall = fit_whitening(few[::2], 0.01), fit_whitening(few, 0.01)
    np.testing.assert_allclose(wide(FEATURES), tall(FEATURES), atol=1e-5 * abs(FEATURES).max())


@pytest.mark.parametrize(
    "features, shrinkage, message",
    [
        (FEATURES, 0, "--whiten must be above 0"),
        (FEATURES, np.nan, "--whiten must be above 0"),
        (FEATURES[:1], 0.1, "at least 2 clouds"),
        (np.ones((3, 2)), 0.1, "all are equal"),
    ],
)
def test_what_cannot_be_whitened_is_refused(features, shrinkage, message):
    with pytest.raises(ValueError, match=message):
        fit_whitening(features, shrinkage)
