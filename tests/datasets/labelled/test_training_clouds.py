"""Draws of labelled clouds for training: whose turn it is, what augmentation does, what it depends on."""

import collections

import numpy as np
import pytest
import torch

from datasets.labelled.modelnet40 import ModelNet40
from datasets.labelled.training_clouds import TrainingClouds, scale_and_shift
from tests.support.tiny_trees import cloud, write_modelnet40


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Six clouds of three classes."""
    return ModelNet40(write_modelnet40(tmp_path_factory.mktemp("data")), "train", num_points=41)


def test_each_axis_is_scaled_and_shifted_on_its_own_within_the_published_ranges():
    points = cloud(3)
    seen = []
    for seed in range(300):
        moved = scale_and_shift(points, np.random.default_rng(seed))
        assert moved.dtype == np.float32
        extent = moved.max(axis=0) - moved.min(axis=0)
        factor = extent / (points.max(axis=0) - points.min(axis=0))
        seen.append([*factor, *(moved.min(axis=0) - factor * points.min(axis=0))])
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    np.testing.assert_allclose(low, [2 / 3] * 3 + [-0.2] * 3, atol=0.03)
    np.testing.assert_allclose(high, [1.5] * 3 + [0.2] * 3, atol=0.03)
    assert np.all(np.abs(np.corrcoef(np.transpose(seen)) - np.eye(6)) < 0.2)


def test_augmentation_leaves_the_clouds_as_they_are(train):
    before = train.points.clone()
    draws = TrainingClouds(train, range(6), seed=1, length=6, augment=True)
    assert not torch.equal(draws[2]["points"], train.points[2])
    assert torch.equal(train.points, before)


def test_without_augmentation_items_are_the_rows_themselves(train):
    draws = TrainingClouds(train, [5, 2], seed=1, length=2)
    for number, row in enumerate((5, 2)):
        assert torch.equal(draws[number]["points"], train.points[row])
        assert (int(draws[number]["label"]), draws[number]["index"]) == (int(train.labels[row]), row)


def test_augmentation_also_reorders_the_points(train, monkeypatch):
    monkeypatch.setattr("datasets.labelled.training_clouds.scale_and_shift", lambda points, rng: points)
    points = TrainingClouds(train, range(6), seed=1, length=6, augment=True)[2]["points"]
    assert not torch.equal(points, train.points[2])
    assert sorted(points.tolist()) == sorted(train.points[2].tolist())


def test_a_turn_about_y_and_jitter_keep_heights_and_radii_within_the_noise(train):
    draws = TrainingClouds(train, range(6), seed=1, length=6, augment=True, kind="rotate_jitter")
    turned, before = draws[2]["points"], train.points[2]
    assert turned.dtype == torch.float32
    assert 0 < (turned[:, 1] - before[:, 1]).abs().max() <= 0.05 + 1e-6
    radii = [points[:, [0, 2]].norm(dim=1) for points in (turned, before)]
    assert (radii[0] - radii[1]).abs().max() <= 0.05 * 2**0.5 + 1e-6
    assert (turned - before)[:, [0, 2]].abs().max() > 0.1


def test_a_draw_depends_on_seed_epoch_and_number_alone(train):
    def draw(number, seed=3, epoch=0):
        draws = TrainingClouds(train, range(6), seed=seed, length=13, augment=True)
        draws.set_epoch(epoch)
        return draws[number]["points"]

    assert torch.equal(draw(1), draw(1))
    for other in (draw(7), draw(1, seed=4), draw(1, epoch=6)):  # each a draw of row 1, too
        assert not torch.equal(draw(1), other)


def test_rows_are_drawn_equally_often_over_epochs_of_any_length(train):
    draws = TrainingClouds(train, [0, 3, 4], seed=0, length=7)
    turns = collections.Counter()
    for epoch in range(5):
        draws.set_epoch(epoch)
        turns.update(draws[number]["index"] for number in range(len(draws)))
    assert turns == {0: 12, 3: 12, 4: 11}


def test_a_row_is_named_with_its_split(train):
    draws = TrainingClouds(train, [5, 2], seed=1, length=2)
    assert draws.files(5).endswith("modelnet40_ply_hdf5_2048: row 5 of its train split")
