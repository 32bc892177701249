"""Pairs of pixels and points against a slow search for what lies between a camera and a point."""

import numpy as np
import pytest
import trimesh

from data.rendering.orbit import orbit_cameras
from data.rendering.pair_writer import add_pairs, find_pairs
from data.rendering.raycast import Raycaster
from data.rendering.shape_writer import write_shape
from datasets.pairs.pair_tables import PAIRS
from datasets.pairs.pixel_pairs import STEPS
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.shapes.meshes import normalise_mesh, sample_surface


@pytest.fixture(scope="module")
def mesh():
    """A box and two balls that hide parts of each other."""
    balls = [trimesh.creation.icosphere(1, radius=0.3).apply_translation([x, 0.4, 0.2]) for x in (-0.5, 0.5)]
    return normalise_mesh(trimesh.util.concatenate([trimesh.creation.box((1, 0.3, 0.6)), *balls]))


def is_occluded(point, origin, triangles):
    """Whether a triangle crosses the line from origin to point before its end: Moeller and Trumbore in float64."""
    ray = point - origin
    corner, side_a, side_b = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(ray, side_b)
    volume = (side_a * across).sum(1)
    away = origin - corner
    u = (away * across).sum(1) / volume
    turned = np.cross(away, side_a)
    v = turned @ ray / volume
    t = (side_b * turned).sum(1) / volume
    return ((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < 1 - 1e-5)).any()


def test_pairs_are_the_unoccluded_points_where_the_camera_matrix_puts_them(mesh):
    points, _ = sample_surface(mesh, 307, np.random.default_rng(0))
    cameras = orbit_cameras(3, 32, np.random.default_rng(1), distance_factor=(0.5, 0.6))  # some are cut off
    pairs = find_pairs(Raycaster(mesh), cameras, points)
    triangles = mesh.vertices[mesh.faces]
    for view, camera in enumerate(cameras):
        u, v, w = camera.intrinsics @ camera.extrinsics[:3] @ np.column_stack([points, np.ones(307)]).T
        where = np.column_stack([v, u]) / w[:, None]
        is_seen = ((where >= 0) & (where < 32)).all(1)
        assert 0 < is_seen.sum() < 307
        is_seen &= [not is_occluded(point, camera.position, triangles) for point in points.astype(float)]
        of_view = slice(*pairs.starts[view : view + 2])
        assert pairs.point[of_view].tolist() == np.flatnonzero(is_seen).tolist()
        np.testing.assert_allclose(pairs.place[of_view] / STEPS * 32, where[is_seen], atol=1.01 * 32 / STEPS)
        assert (pairs.rows(32)[of_view, 1:3] == np.floor(where[is_seen])).all()


def test_points_off_the_surface_are_told_apart(mesh):
    points, _ = sample_surface(mesh, 307, np.random.default_rng(0))
    caster, normal = Raycaster(mesh), np.array([0.6, 0.0, 0.8])
    assert caster.on_surface(points).all()
    assert not caster.on_surface(points * 1.01 + normal).any()


@pytest.fixture
def shape(mesh, tmp_path):
    """A finished shape 02/a without pairs; returns its root."""
    points, _ = sample_surface(mesh, 307, np.random.default_rng(0))
    cameras = orbit_cameras(2, 24, np.random.default_rng(1))
    caster = Raycaster(mesh)
    write_shape(tmp_path, "02", "a", points, [caster.render(camera) for camera in cameras], cameras)
    return tmp_path


def test_pairs_of_a_finished_shape_are_those_of_its_stored_cloud(mesh, shape):
    with pytest.raises(FileNotFoundError, match=rf"02/a/{PAIRS}; make them: run the command .* with --pairs"):
        ShapeNetRender(shape).read_pixel_pairs(0)
    add_pairs(shape, "02", "a", mesh)
    stored = ShapeNetRender(shape).read_pixel_pairs(0)
    points, _ = sample_surface(mesh, 307, np.random.default_rng(0))
    expected = find_pairs(Raycaster(mesh), orbit_cameras(2, 24, np.random.default_rng(1)), points)
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(stored, expected, strict=True))


def test_another_mesh_or_cameras_that_do_not_fit_are_refused_by_name(mesh, shape):
    folder = shape / "ShapeNetRendering/02/a"
    with pytest.raises(ValueError, match=r"ShapeNet/02/a\.ply: \d+ of 307 points do not lie on the mesh"):
        add_pairs(shape, "02", "a", normalise_mesh(trimesh.creation.box((1, 2, 3))))
    (folder / "rendering/01.png").unlink()
    with pytest.raises(ValueError, match=r"02/a/cameras\.npz: 2 cameras, but 1 pictures"):
        add_pairs(shape, "02", "a", mesh)
    (folder / "cameras.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"02/a/cameras\.npz: no readable cameras .* render the shape again"):
        add_pairs(shape, "02", "a", mesh)
    assert not (folder / PAIRS).exists()
