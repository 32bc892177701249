"""Scans: one side only, noise, surroundings, any turn, and the three variants."""

import numpy as np
import pytest

from data.procedural import scans
from data.procedural.numbered_shapes import make_shape
from data.procedural.scans import scan_shape

NUM_POINTS = 2048


def scan(index: int = 0, *, seed: int = 0, category: str = "mug"):
    shape, neighbour = make_shape(0, category, "test", index), make_shape(0, "chair", "clutter", index)
    return scan_shape(shape, neighbour, NUM_POINTS, np.random.default_rng(seed))


@pytest.fixture
def bare(monkeypatch):
    """No noise, no clutter, no holes, no pose: what is left is what the sensor sees."""
    ranges = {
        "DEPTH_NOISE": 0.0,
        "LATERAL_NOISE": 0.0,
        "NEIGHBOUR_CHANCE": 0.0,
        "CLUTTER_SHARE": (0.0, 1e-9),
        "NUM_HOLES": (0, 0),
        "TILT_DEG": 0.0,
        "SCALE": (1.0, 1.0),
        "OFFSET": 0.0,
    }
    for name, value in ranges.items():
        monkeypatch.setattr(scans, name, value)
    return monkeypatch


def test_every_variant_is_a_finite_cloud_of_the_asked_size():
    for points in scan():
        assert points.shape == (NUM_POINTS, 3)
        assert points.dtype == np.float32
        assert np.isfinite(points).all()


def test_the_same_generator_gives_the_same_scan():
    for first, second in zip(scan(seed=4), scan(seed=4)):
        np.testing.assert_array_equal(first, second)


def test_variants_and_generators_differ():
    obj_bg, obj_only, hardest = scan(seed=4)
    assert not np.array_equal(obj_bg, obj_only)
    assert not np.array_equal(obj_bg, hardest)
    assert not np.array_equal(obj_bg, scan(seed=5).obj_bg)


def test_the_far_side_is_not_seen(bare):
    """A box has six faces; a camera above the horizon sees three at most, never the bottom."""
    shape = make_shape(0, "mug", "test", 0)
    corners = np.array([[x, y, z] for x in (-0.3, 0.3) for y in (-0.3, 0.3) for z in (-0.3, 0.3)])
    faces = np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4]]
        + [[1, 5, 7], [1, 7, 3]]
    )
    cube = shape._replace(vertices=corners, faces=faces)
    points = scan_shape(cube, shape, NUM_POINTS, np.random.default_rng(0)).obj_only
    radius = np.hypot(points[:, 0], points[:, 2])
    on_top = points[:, 1] > 0.3 - 1e-4
    assert on_top.any()
    assert points[:, 1].min() > -0.3 - 1e-4
    sides = points[~on_top & (radius > 0.29)]
    angle = np.arctan2(sides[:, 0], sides[:, 2])
    gap = np.diff(np.sort(np.concatenate([angle, angle[:1] + 2 * np.pi]))).max()
    assert gap > np.pi / 2


def test_depth_noise_moves_points_off_the_surface(bare):
    shape = make_shape(0, "laptop", "test", 0)
    exact = scan_shape(shape, shape, NUM_POINTS, np.random.default_rng(0)).obj_only
    bare.setattr(scans, "DEPTH_NOISE", 0.05)
    noisy = scan_shape(shape, shape, NUM_POINTS, np.random.default_rng(0)).obj_only
    assert np.ptp(noisy, axis=0).max() > np.ptp(exact, axis=0).max() + 0.02


def test_surroundings_are_in_obj_bg_only(bare):
    """The floor shows as a patch of points below the object."""
    bare.setattr(scans, "CLUTTER_SHARE", (0.3, 0.3))
    shape = make_shape(0, "table", "test", 0)
    floor = shape.vertices[:, 1].min() - 1e-3
    found = scan_shape(shape, shape, NUM_POINTS, np.random.default_rng(0))
    assert np.mean(found.obj_bg[:, 1] < floor + 1e-4) > 0.2
    assert np.mean(found.obj_only[:, 1] < floor + 1e-4) == 0


def test_poses_turn_all_the_way_round():
    angles = [scans._pose(np.random.default_rng(seed)).linear for seed in range(200)]
    heading = np.degrees([np.arctan2(linear[0, 2], linear[0, 0]) for linear in angles])
    assert np.histogram(heading, bins=8, range=(-180, 180))[0].min() > 5


def test_up_stays_up():
    for seed in range(20):
        linear = scans._pose(np.random.default_rng(seed)).linear
        up = linear[:, 1] / np.linalg.norm(linear[:, 1])
        assert up[1] > np.cos(np.radians(5 * scans.TILT_DEG))


def test_holes_leave_half_of_the_object_at_least(monkeypatch):
    monkeypatch.setattr(scans, "NUM_HOLES", (50, 50))
    monkeypatch.setattr(scans, "HOLE_RADIUS", (0.1, 0.4))
    rng = np.random.default_rng(0)
    whole = scans._Seen(rng.random((1000, 3)), rng.random(1000) < 0.8)
    left = scans._with_holes(whole, rng)
    assert 0.5 <= left.is_object.sum() / whole.is_object.sum() < 1
