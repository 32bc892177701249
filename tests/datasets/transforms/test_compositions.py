import numpy as np
import pytest
import torch

from datasets.transforms.compositions import compose_clouds, compose_views, draw_others
from datasets.transforms.point_transforms import unit_sphere

INDEX, NUM_SHAPES = 2, 5


def test_other_shapes_are_drawn_alike_one_or_two_of_them_in_the_share_that_is_asked_for():
    rng = np.random.default_rng(0)
    drawn = [draw_others(INDEX, NUM_SHAPES, 0.4, rng) for _ in range(2000)]
    assert all(len(set(others)) == len(others) for others in drawn)
    share = np.bincount([len(others) for others in drawn]) / len(drawn)
    assert share == pytest.approx([0.6, 0.2, 0.2], abs=0.03)
    counts = np.bincount(np.concatenate(drawn).astype(int), minlength=NUM_SHAPES) / sum(map(len, drawn))
    assert counts == pytest.approx([0.25, 0.25, 0, 0.25, 0.25], abs=0.05)


@pytest.mark.parametrize("num_shapes", [2, 3])
def test_clouds_keep_their_form_upright_on_one_ground_and_near_the_first(num_shapes):
    sizes = (31, 47, 23)[:num_shapes]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        clouds = [unit_sphere(rng.standard_normal((size, 3)).astype(np.float32)) for size in sizes]
        together = compose_clouds(clouds, rng)
        assert (together.dtype, together.shape) == (np.float32, (sum(sizes), 3))
        np.testing.assert_allclose(together, unit_sphere(together), atol=1e-6)
        parts = np.split(together, np.cumsum(sizes)[:-1])
        scales = [np.ptp(part[:, 1]) / np.ptp(cloud[:, 1]) for part, cloud in zip(parts, clouds)]
        for part, cloud, scale in zip(parts, clouds, scales):
            part_form, form = (np.linalg.norm(rows - rows[0], axis=1) for rows in (part, cloud))
            np.testing.assert_allclose(part_form, scale * form, atol=1e-5)
            np.testing.assert_allclose(part[:, 1] - part[0, 1], scale * (cloud[:, 1] - cloud[0, 1]), atol=1e-5)
        assert max(scales) <= min(scales) / 0.6 + 1e-5
        assert np.ptp([part[:, 1].min() for part in parts]) < 1e-5
        places = [part[:, [0, 2]].mean(axis=0) for part in parts]
        radii = [np.linalg.norm(part[:, [0, 2]] - place, axis=1).max() for part, place in zip(parts, places)]
        for place, radius in zip(places[1:], radii[1:]):
            assert 0.59 < np.linalg.norm(place - places[0]) / (radii[0] + radius) < 1.11
        if num_shapes == 3:
            a, b = places[1] - places[0], places[2] - places[0]
            assert a @ b <= -0.49 * np.linalg.norm(a) * np.linalg.norm(b)


@pytest.mark.parametrize("size", [(6, 8), (7, 2)])
def test_views_stand_in_a_row_on_the_background(size):
    sizes = (size, (5, 5), (9, 4))
    views = [torch.full((3, *own), 10 * number, dtype=torch.uint8) for number, own in enumerate(sizes, start=1)]
    picture = compose_views(views, (0, 255, 7))
    expected = torch.tensor([0, 255, 7], dtype=torch.uint8)[:, None, None].repeat(1, *size)
    row = [10, 10, 20, 20, 30, 30] if size == (6, 8) else [10, 20]
    left = (size[1] - len(row)) // 2
    expected[:, 2:4, left : left + len(row)] = torch.tensor(row, dtype=torch.uint8)
    assert torch.equal(picture, expected)
