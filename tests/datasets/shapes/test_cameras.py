"""data.rendering.orbit: projection, orbits, framing."""

import numpy as np
import pytest

from data.rendering.orbit import orbit_cameras
from datasets.shapes.cameras import Camera, look_at, project, unproject


def _camera(position=(0.0, 0.0, 2.0)):
    intrinsics = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    return Camera(intrinsics, look_at(np.array(position)), (80, 100))


def test_camera_axes_are_right_down_forward():
    """Seen from +z, world x runs to the right of the image, world y up, and the origin is 2 away at the centre."""
    pixels, depth = project(_camera(), np.array([[0, 0, 0], [0.2, 0, 0], [0, 0.2, 0], [0, 0, 1]]))
    np.testing.assert_allclose(pixels, [[50, 40], [60, 40], [50, 30], [50, 40]], atol=1e-12)
    np.testing.assert_allclose(depth, [2, 2, 2, 1])


def test_extrinsics_are_a_rotation_and_place_the_camera():
    camera = _camera((0.3, 1.1, -1.7))
    rotation = camera.extrinsics[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(camera.position, [0.3, 1.1, -1.7])


def test_unproject_inverts_project_at_pixel_centres():
    camera = _camera((0.3, 1.1, -1.7))
    depth = np.full(camera.size, np.inf)
    depth[3, 7], depth[60, 90] = 1.5, 2.5
    pixels, found = project(camera, unproject(camera, depth))
    np.testing.assert_allclose(pixels, [[7.5, 3.5], [90.5, 60.5]])
    np.testing.assert_allclose(found, [1.5, 2.5])


def test_unit_sphere_of_diameter_one_stays_in_every_frame():
    directions = np.random.default_rng(1).normal(size=(997, 3))
    sphere = directions / np.linalg.norm(directions, axis=1, keepdims=True) / 2
    for camera in orbit_cameras(24, 137, np.random.default_rng(0)):
        pixels, _ = project(camera, sphere)
        assert pixels.min() >= 0
        assert pixels.max() <= 137


def test_azimuths_cover_every_sector_and_elevations_keep_their_range():
    cameras = orbit_cameras(8, 137, np.random.default_rng(0), elevation_deg=(10, 20))
    positions = np.array([camera.position for camera in cameras])
    azimuth = np.degrees(np.arctan2(positions[:, 0], positions[:, 2])) % 360
    assert sorted((azimuth // 45).astype(int)) == list(range(8))
    elevation = np.degrees(np.arcsin(positions[:, 1] / np.linalg.norm(positions, axis=1)))
    assert ((elevation >= 10) & (elevation <= 20)).all()


def test_cameras_repeat_with_the_generator():
    first, again, other = (orbit_cameras(3, 20, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[2].extrinsics, again[2].extrinsics)
    assert not np.array_equal(first[2].extrinsics, other[2].extrinsics)


def test_no_views_is_refused():
    with pytest.raises(ValueError, match="num_views"):
        orbit_cameras(0, 137, np.random.default_rng(0))
