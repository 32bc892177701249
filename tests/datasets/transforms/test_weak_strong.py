"""Weak and strong augmentation, and hidden patches."""

import numpy as np
import pytest
import torch

from datasets.transforms.weak_strong import hide_patches, strong_image, turn_a_little, weak_cloud
from tests.support.tiny_trees import cloud


def test_60_of_196_patches_are_hidden_in_cells_of_four():
    for seed in range(5):
        mask = hide_patches(14, np.random.default_rng(seed))
        assert mask.sum() == 60
        cells = mask.reshape(7, 2, 7, 2).sum(axis=(1, 3))
        assert set(cells.flat) == {0, 4}
    assert hide_patches(7, np.random.default_rng(0)).sum() == 15
    assert (hide_patches(14, np.random.default_rng(0)) != hide_patches(14, np.random.default_rng(1))).any()


def test_a_weak_cloud_is_scaled_and_turned_a_little_and_its_source_stays():
    points = cloud(0)
    before = points.copy()
    for seed in range(20):
        weak = weak_cloud(points, np.random.default_rng(seed))
        assert weak.dtype == np.float32
        assert 0.9 <= np.linalg.norm(weak, axis=1).max() <= 1.1 + 1e-6
        assert np.abs(weak.mean(axis=0)).max() < 1e-5
    np.testing.assert_array_equal(points, before)
    angles = []
    for seed in range(200):
        turned = turn_a_little(np.eye(3, dtype=np.float32), np.random.default_rng(seed))
        np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-5)
        angles.append(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1)))
    assert max(angles) < 0.18 * 3**0.5 + 0.01
    assert np.mean(angles) == pytest.approx(0.06 * (8 / np.pi) ** 0.5, rel=0.1)  # mean length of three normal numbers


def test_a_strong_image_depends_on_its_generator_alone():
    pixels = torch.randint(256, (3, 40, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = torch.random.get_rng_state()
    images = [strong_image(pixels, 16, np.random.default_rng(seed), (0, 0, 0)) for seed in range(12)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(image.shape == (3, 16, 16) and image.isfinite().all() for image in images)
    assert len({image.sum().item() for image in images}) == 12
    torch.manual_seed(5)
    assert torch.equal(strong_image(pixels, 16, np.random.default_rng(3), (0, 0, 0)), images[3])
