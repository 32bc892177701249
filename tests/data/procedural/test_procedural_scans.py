"""Scans: one side only, noise, surroundings, any turn, and the three variants."""

import numpy as np
import pytest

from data.procedural import scans
from data.procedural.numbered_shapes import make_shape
from data.procedural.scans import scan_shape
from data.procedural.solids import box

NUM_POINTS = 2048


def scan(shape=None, *, seed=0):
    """Scan a shape, by default a mug, beside a chair."""
    shape, neighbour = shape or make_shape(0, "mug", "test", 0), make_shape(0, "chair", "clutter", 0)
    return scan_shape(shape, neighbour, NUM_POINTS, np.random.default_rng(seed))


@pytest.fixture
def bare(monkeypatch):
    """No noise, no clutter, no holes, no pose: what is left is what the sensor sees."""
    ranges = {"CLUTTER_SHARE": (0.0, 1e-9), "NUM_HOLES": (0, 0), "SCALE": (1.0, 1.0)}
    zero = dict.fromkeys(("DEPTH_NOISE", "LATERAL_NOISE", "NEIGHBOUR_CHANCE", "TILT_DEG", "OFFSET"), 0.0)
    for name, value in (ranges | zero).items():
        monkeypatch.setattr(scans, name, value)
    return monkeypatch


def test_every_variant_is_a_finite_cloud_of_the_asked_size():
    for points in scan():
        assert points.shape == (NUM_POINTS, 3)
        assert points.dtype == np.float32
        assert np.isfinite(points).all()


def test_a_scan_depends_on_its_generator_alone_and_its_variants_differ():
    np.testing.assert_array_equal(scan(seed=4), scan(seed=4))
    obj_bg, obj_only, hardest = scan(seed=4)
    for other in (obj_only, hardest, scan(seed=5).obj_bg):
        assert not np.array_equal(obj_bg, other)


def test_the_far_side_is_not_seen(bare):
    """A box has six faces; a camera above the horizon sees three at most, never the bottom."""
    cube = box(0.6, 0.6, 0.6)
    points = scan(make_shape(0, "mug", "test", 0)._replace(vertices=cube.vertices, faces=cube.faces)).obj_only
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
    exact = scan(shape).obj_only
    bare.setattr(scans, "DEPTH_NOISE", 0.05)
    noisy = scan(shape).obj_only
    assert np.ptp(noisy, axis=0).max() > np.ptp(exact, axis=0).max() + 0.02


def test_surroundings_are_in_obj_bg_only(bare):
    """The floor shows as a patch of points below the object."""
    bare.setattr(scans, "CLUTTER_SHARE", (0.3, 0.3))
    shape = make_shape(0, "table", "test", 0)
    floor = shape.vertices[:, 1].min() - 1e-3
    found = scan(shape)
    assert np.mean(found.obj_bg[:, 1] < floor + 1e-4) > 0.2
    assert np.mean(found.obj_only[:, 1] < floor + 1e-4) == 0


def test_poses_turn_all_the_way_round_and_up_stays_up():
    linear = np.stack([scans._pose(np.random.default_rng(seed)).linear for seed in range(200)])
    heading = np.degrees(np.arctan2(linear[:, 0, 2], linear[:, 0, 0]))
    assert np.histogram(heading, bins=8, range=(-180, 180))[0].min() > 5
    up = linear[:, :, 1] / np.linalg.norm(linear[:, :, 1], axis=1, keepdims=True)
    assert up[:, 1].min() > np.cos(np.radians(5 * scans.TILT_DEG))


def test_holes_leave_half_of_the_object_at_least(monkeypatch):
    monkeypatch.setattr(scans, "NUM_HOLES", (50, 50))
    monkeypatch.setattr(scans, "HOLE_RADIUS", (0.1, 0.4))
    rng = np.random.default_rng(0)
    whole = scans._Seen(rng.random((1000, 3)), rng.random(1000) < 0.8)
    left = scans._with_holes(whole, rng)
    assert 0.5 <= left.is_object.sum() / whole.is_object.sum() < 1
