import math

import numpy as np
import pytest
from scipy.stats import chisquare

from datasets.transforms import point_transforms as T
from tests.datasets.transforms.uniform import assert_uniform
from tests.support.tiny_trees import cloud

RANDOM = [
    *(T.random_scale, T.rotate_y, T.rotate_so3, T.translate, T.jitter, T.input_dropout),
    lambda points, rng: T.random_subset(points, rng, 41),
    T.PointAugment(),
    T.PointAugment("so3", 1.25, 0.1, 0.5),
]
DRAWS = 2000


def draws(transform, points, count=DRAWS):
    """Results of `count` applications with one seeded generator, (count, N, 3) float64."""
    rng = np.random.default_rng(7)
    return np.stack([transform(points, rng) for _ in range(count)]).astype(np.float64)


@pytest.mark.parametrize("transform", RANDOM)
def test_the_input_stays_and_the_result_is_float32_and_depends_on_the_generator_alone(transform):
    points = cloud(0)
    first, again, other = (transform(points, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    first[:] = 0
    np.testing.assert_array_equal(points, cloud(0))


def test_unit_sphere_centres_the_mean_and_reaches_radius_one_for_each_cloud_of_a_batch_on_its_own():
    batch = np.stack([cloud(0), 5 * cloud(1)])
    points = T.unit_sphere(batch)
    np.testing.assert_allclose(points.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(points, axis=2).max(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(points, [T.unit_sphere(c) for c in batch], atol=1e-6)


def test_a_cloud_without_size_cannot_be_scaled():
    with pytest.raises(ValueError, match="all points coincide"):
        T.unit_sphere(np.ones((5, 3), np.float32))


@pytest.mark.parametrize("size", [1e30, 3e38])
def test_a_cloud_whose_size_overflows_is_refused_by_number(size):
    points = np.stack([cloud(0), cloud(1), cloud(2)])
    points[1, :2] = [[size] * 3, [-size] * 3]
    with pytest.raises(ValueError, match="the coordinates are too large in cloud 1: it cannot be scaled"):
        T.unit_sphere(points)


def test_scale_is_one_factor_uniform_from_half_to_two():
    points = cloud(0)
    ratio = draws(T.random_scale, points) / points
    assert np.ptp(ratio, axis=(1, 2)).max() < 1e-6
    assert_uniform(ratio[:, 0, 0], 0.5, 2.0)


def test_rotation_turns_about_y_by_a_uniform_angle_counted_from_z_to_x():
    turned = draws(T.rotate_y, np.array([[0, 5, 1], [1, -2, 0]], np.float32))
    np.testing.assert_allclose(turned[:, :, 1], [[5, -2]] * DRAWS, atol=1e-6)
    angle = np.arctan2(turned[:, 0, 0], turned[:, 0, 2])  # the z axis goes to (sin a, 0, cos a)
    np.testing.assert_allclose(turned[:, 1, [0, 2]], np.stack([np.cos(angle), -np.sin(angle)], 1), atol=1e-6)
    assert_uniform(angle % (2 * math.pi), 0, 2 * math.pi)


def test_translation_is_uniform_in_half_the_extent_of_each_axis():
    points = cloud(0)
    shift = draws(T.translate, points) - points
    assert np.ptp(shift, axis=1).max() < 2e-6
    relative = shift[:, 0] / np.ptp(points, axis=0)
    for axis in range(3):
        assert_uniform(relative[:, axis], -0.5, 0.5)
    assert np.abs(np.corrcoef(relative.T) - np.eye(3)).max() < 4 / math.sqrt(DRAWS)


def test_jitter_is_normal_with_sigma_one_hundredth_for_every_coordinate_and_limited_to_five_hundredths():
    noise = draws(T.jitter, np.zeros((97, 3), np.float32), 500)
    assert abs(noise.mean()) < 4 * 0.01 / math.sqrt(noise.size)
    assert noise.std() == pytest.approx(0.01, rel=0.01)
    assert (np.abs(noise) < 0.01).mean() == pytest.approx(0.6827, abs=0.005)
    wide = T.jitter(np.zeros((5000, 3), np.float32), np.random.default_rng(0), sigma=0.05)
    assert np.abs(wide).max() == pytest.approx(0.05)
    assert (np.abs(wide) == np.float32(0.05)).mean() == pytest.approx(0.3173, abs=0.02)


def test_so3_keeps_distances_and_handedness():
    points = np.concatenate([np.eye(3), cloud(0)]).astype(np.float32)
    turned = T.rotate_so3(points, np.random.default_rng(0))
    np.testing.assert_allclose(turned @ turned.T, points @ points.T, atol=1e-5)
    assert np.linalg.det(turned[:3]) == pytest.approx(1, abs=1e-5)


def test_so3_is_uniform_over_orientations():
    axes = draws(T.rotate_so3, np.eye(3, dtype=np.float32))
    for coordinate in axes.reshape(DRAWS, 9).T:  # each coordinate of a uniform direction is uniform (Archimedes)
        assert_uniform(coordinate, -1, 1)
    trace = np.trace(axes, axis1=1, axis2=2)
    assert trace.mean() == pytest.approx(0, abs=4 / math.sqrt(DRAWS))  # a character of SO(3)
    assert trace.var() == pytest.approx(1, abs=0.2)


def test_dropout_overwrites_with_point_zero_and_keeps_the_others_in_place():
    points = cloud(0)
    result = T.input_dropout(points, np.random.default_rng(1))
    dropped = (result == points[0]).all(axis=1)
    assert result.shape == points.shape
    assert 0 < dropped[1:].sum() < 96
    np.testing.assert_array_equal(result[~dropped], points[~dropped])


def test_the_dropped_share_is_uniform_up_to_seven_eighths():
    points = cloud(0, 4000)
    shares = (draws(T.input_dropout, points, 600)[:, 1:] == points[0]).all(axis=2).mean(axis=1)
    assert shares.max() < 0.875 + 0.02
    assert_uniform(np.clip(shares, 0, 0.875), 0, 0.875)


def test_a_subset_has_different_rows_of_the_cloud():
    subset = T.random_subset(cloud(0), np.random.default_rng(0), 41)
    rows = {tuple(row) for row in subset.tolist()}
    assert len(rows) == 41
    assert rows < {tuple(row) for row in cloud(0).tolist()}


def test_every_row_is_equally_likely_in_a_subset():
    points = np.arange(39, dtype=np.float32).reshape(13, 3)
    rows = draws(lambda p, rng: T.random_subset(p, rng, 4), points)[:, :, 0] / 3
    assert chisquare(np.bincount(rows.astype(int).ravel(), minlength=13)).pvalue > 0.001


def nearest_share(points, rng, least, most):
    """Rows of a crop, in their order, from distances computed one by one in float64."""
    count = round(rng.uniform(least, most) * len(points))
    points = [[float(c) for c in point] for point in points]
    centre = points[rng.integers(len(points))]
    nearest = sorted(range(len(points)), key=lambda row: sum((c - m) ** 2 for c, m in zip(points[row], centre)))
    return sorted(nearest[:count])  # sorting keeps the order of equally near ones


GRID = np.stack(np.meshgrid([0, 1, 2], [0, 1, 2], [3, 4, 5]), axis=-1).reshape(27, 3).astype(np.float32)


@pytest.mark.parametrize("points", [cloud(0), GRID], ids=["cloud", "equally near points"])
def test_a_crop_is_exactly_the_share_nearest_to_a_random_point_in_the_order_of_the_cloud(points):
    for seed in range(9):
        kept = T.crop(points, np.random.default_rng(seed), 0.1, 0.7)
        np.testing.assert_array_equal(kept, points[nearest_share(points, np.random.default_rng(seed), 0.1, 0.7)])


def test_the_share_of_a_crop_is_uniform_and_its_centre_is_any_point():
    points, rng = cloud(0, 1000), np.random.default_rng(0)
    assert_uniform(np.array([len(T.crop(points, rng, 0.4)) / 1000 for _ in range(500)]), 0.4, 1.0)
    corners = np.repeat(1e3 * np.eye(3, dtype=np.float32), 4, axis=0) + cloud(0, 12)
    first = [int(np.flatnonzero((corners == T.crop(corners, rng, 1 / 3, 1 / 3)[0]).all(1))[0]) for _ in range(600)]
    assert chisquare(np.unique(first, return_counts=True)[1]).pvalue > 0.001
    assert set(first) == {0, 4, 8}


@pytest.mark.parametrize(("share", "wanted"), [(0.2, 50), (0.8, 41)])
def test_of_a_crop_a_random_subset_is_taken_or_where_it_is_too_small_each_point_equally_often(share, wanted):
    points = cloud(0)
    inside = points[nearest_share(points, np.random.default_rng(3), share, share)]
    augment = T.PointAugment(crop_min=share, crop_max=share, num_points=wanted)
    chosen, counts = np.unique(augment.select(points, np.random.default_rng(3), 97), axis=0, return_counts=True)
    assert {tuple(row) for row in chosen} <= {tuple(row) for row in inside}
    assert counts.sum() == wanted
    assert set(counts) == ({2, 3} if len(inside) < wanted else {1})
    assert len(chosen) == min(wanted, len(inside))


def test_a_crop_of_coinciding_points_is_refused():
    points = np.concatenate([np.ones((40, 3)), cloud(0, 3)]).astype(np.float32)
    with pytest.raises(ValueError, match="the 22 points of a crop coincide"):
        T.crop(points, np.random.default_rng(0), 0.5, 0.5)


def published_chain_in_float64(points, rng):
    """Normalise, scale, rotate, translate, jitter, drop: point by point, as the paper's code orders them."""
    points = [[float(c) for c in point] for point in points]
    centre = [sum(axis) / len(points) for axis in zip(*points)]
    points = [[c - m for c, m in zip(point, centre)] for point in points]
    radius = max(math.dist(point, (0, 0, 0)) for point in points)
    factor = rng.uniform(0.5, 2.0) / radius
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    points = [[factor * c for c in point] for point in points]
    points = [[cos * x + sin * z, y, -sin * x + cos * z] for x, y, z in points]
    extent = [max(axis) - min(axis) for axis in zip(*points)]
    shift = [u * e for u, e in zip(rng.uniform(-0.5, 0.5, 3), extent)]
    noise = rng.standard_normal((len(points), 3), dtype=np.float32)
    points = [
        [c + s + min(max(0.01 * float(n), -0.05), 0.05) for c, s, n in zip(point, shift, row)]
        for point, row in zip(points, noise)
    ]
    ratio = rng.uniform(0, 0.875)
    return [points[0] if u <= ratio else point for point, u in zip(points, rng.random(len(points)))]


@pytest.mark.parametrize("seed", range(5))
def test_the_chain_equals_a_slow_restatement(seed):
    fast = T.PointAugment()(cloud(seed), np.random.default_rng(seed))
    slow = published_chain_in_float64(cloud(seed), np.random.default_rng(seed))
    np.testing.assert_allclose(fast, slow, atol=1e-5)


def test_without_rotation_scale_translation_and_dropout_only_the_jitter_is_left():
    points = cloud(0)
    result = T.PointAugment("none", max_scale=1, translation=0, max_dropout=0)(points, np.random.default_rng(0))
    moved = np.abs(result - T.unit_sphere(points))
    assert 0 < moved.max() <= 0.05 + 1e-6


@pytest.mark.parametrize(("field", "value"), [("max_scale", 1.5), ("translation", 0.2), ("max_dropout", 0.3)])
def test_each_setting_reaches_its_own_step(field, value):
    quiet = {"rotation": "none", "max_scale": 1, "translation": 0, "max_dropout": 0}
    points = T.unit_sphere(cloud(0, 2000))
    result = draws(T.PointAugment(**quiet | {field: value}), points, 400)
    if field == "max_scale":
        size = np.linalg.norm(result, axis=2).mean(axis=1) / np.linalg.norm(points, axis=1).mean()
        assert_uniform(size, 1 / 1.5, 1.5)
    elif field == "translation":
        assert_uniform(((result - points).mean(axis=1) / np.ptp(points, axis=0))[:, 0], -0.2, 0.2)
    else:
        shares = (result[:, 1:] == result[:, :1]).all(axis=2).mean(axis=1)
        assert shares.max() < 0.3 + 0.03
        assert_uniform(np.clip(shares, 0, 0.3), 0, 0.3)


@pytest.mark.parametrize(
    "field, value",
    [("rotation", "z"), ("max_scale", 0.9), ("max_scale", math.nan)]
    + [("translation", -0.1), ("translation", math.inf), ("max_dropout", 1.0)]
    + [("crop_min", 0.0), ("crop_min", math.nan), ("crop_max", 0.9), ("crop_max", 1.1)],
)
def test_settings_outside_their_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        T.PointAugment(**{field: value})
