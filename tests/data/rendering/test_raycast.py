"""data.rendering.raycast: depth, alpha and visibility against geometry known in closed form."""

import importlib.util
import sys

import numpy as np
import pytest
import trimesh

from data.rendering import raycast
from data.rendering.orbit import orbit_cameras
from data.rendering.raycast import Raycaster
from datasets.shapes.cameras import Camera, look_at, project, unproject
from datasets.shapes.meshes import normalise_mesh, sample_surface

SIZE = 61


def _front(distance=2.0):
    """On the z axis, looking at the origin; half a unit at the origin is a quarter of the frame."""
    intrinsics = np.array([[SIZE, 0, SIZE / 2], [0, SIZE, SIZE / 2], [0, 0, 1.0]])
    return Camera(intrinsics, look_at(np.array([0.0, 0.0, distance])), (SIZE, SIZE))


def _square(side=1.0, *, flipped=False):
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * side / 2
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return trimesh.Trimesh(corners, faces[:, ::-1] if flipped else faces, process=False)


def _two_spheres():
    near = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    far = near.copy().apply_translation([1.2, 0.1, -0.4])
    return normalise_mesh(trimesh.util.concatenate([near, far]))


def test_depth_of_a_tilted_plane_is_exact_at_every_pixel_centre():
    plane = _square(0.6).apply_transform(trimesh.transformations.rotation_matrix(0.7, [1, 2, 0.5]))
    camera = _front()
    _, depth = Raycaster(plane).render(camera)
    points = unproject(camera, depth)
    assert len(points) > 100
    np.testing.assert_allclose(points @ plane.face_normals[0], 0, atol=1e-6)


def test_a_visible_point_hits_its_pixel():
    """The pixel's own surface point lies within the pixel's footprint of the sampled point, along its face."""
    mesh = _two_spheres()
    caster = Raycaster(mesh)
    points, face_index = sample_surface(mesh, 2048, np.random.default_rng(0))
    for camera in orbit_cameras(4, 137, np.random.default_rng(1)):
        hits = caster.first_hits(camera)
        face_map = np.full(camera.size, -1)
        face_map[hits.row, hits.column] = hits.face_index
        _, depth = caster.render(camera)
        visible = caster.visible(camera, points)
        column, row = np.floor(project(camera, points)[0]).astype(int).T
        same_face = np.flatnonzero(visible & (face_map[row % 137, column % 137] == face_index))
        assert len(same_face) > 300
        surface = np.full((*camera.size, 3), np.nan)
        surface[np.isfinite(depth)] = unproject(camera, depth)
        pixel_points = surface[row[same_face], column[same_face]]
        offset, normals = pixel_points - points[same_face], mesh.face_normals[face_index[same_face]]
        np.testing.assert_allclose(np.einsum("mi,mi->m", offset, normals), 0, atol=1e-5)
        moved = project(camera, pixel_points)[0] - project(camera, points[same_face])[0]
        assert np.abs(moved).max() <= 0.5 + 1e-3


def test_projecting_the_pixel_centre_hits_gives_the_pixel_centres_back():
    caster = Raycaster(_two_spheres())
    camera = orbit_cameras(1, 137, np.random.default_rng(0))[0]
    _, depth = caster.render(camera)
    points = unproject(camera, depth)
    pixels, found = project(camera, points)
    row, column = np.nonzero(np.isfinite(depth))
    np.testing.assert_allclose(pixels, np.stack([column, row], axis=1) + 0.5, atol=1e-4)
    np.testing.assert_allclose(found, depth[row, column], atol=1e-6)
    assert caster.visible(camera, points).mean() > 0.999  # all but a few at the very rim


def test_points_of_a_convex_shape_are_visible_where_they_face_the_camera():
    sphere = normalise_mesh(trimesh.creation.icosphere(subdivisions=4))
    points, face_index = sample_surface(sphere, 5000, np.random.default_rng(0))
    camera = orbit_cameras(1, 137, np.random.default_rng(0))[0]
    facing = np.einsum("mi,mi->m", sphere.face_normals[face_index], camera.position - points) > 0
    assert (Raycaster(sphere).visible(camera, points) == facing).mean() > 0.999


def test_points_behind_another_surface_are_not_visible():
    wall = _square(0.2).apply_translation([0, 0, 0.3])
    caster = Raycaster(trimesh.util.concatenate([_square(0.8), wall]))
    points = np.array([[0.01, 0.02, 0], [0.35, 0.3, 0], [0.01, 0.02, 0.3]])
    np.testing.assert_array_equal(caster.visible(_front(), points), [False, True, True])


def test_points_outside_the_frame_or_behind_the_camera_are_not_visible():
    caster = Raycaster(_square(9.0))
    points = np.array([[0.5, 0, 0], [3.0, 0, 0], [0, 0, 5.0]])
    np.testing.assert_array_equal(caster.visible(_front(), points), [True, False, False])


def test_alpha_is_the_share_of_rays_that_hit():
    """A square whose edges run through pixels: its projected area is the sum of alpha."""
    side = 0.777
    rgba, _ = Raycaster(_square(side)).render(_front(), supersample=8)
    area = (side * SIZE / 2) ** 2  # focal length SIZE, distance 2
    assert rgba[..., 3].sum() / 255 == pytest.approx(area, rel=0.005)
    assert len(np.unique(rgba[..., 3])) > 3


def test_supersampling_refines_edges_and_leaves_the_depth():
    caster = Raycaster(_two_spheres())
    (single, depth), (refined, refined_depth) = (caster.render(_front(), supersample=count) for count in (1, 2))
    assert set(np.unique(single[..., 3])) == {0, 255}
    assert len(np.unique(refined[..., 3])) == 6  # 0 to 5 of 5 rays
    np.testing.assert_array_equal(depth, refined_depth)
    assert not refined[refined[..., 3] == 0].any()  # no colour hides under transparent pixels


def test_edge_pixels_keep_the_colour_of_the_surface_and_rays_lie_evenly():
    """Not darkened towards a background: the colour is not premultiplied. The picture does not lean to one side."""
    rgba, _ = Raycaster(_square(0.777)).render(_front())
    covered = rgba[rgba[..., 3] > 0]
    assert (covered[:, 3] < 255).any()
    assert len(np.unique(covered[:, :3], axis=0)) == 1
    np.testing.assert_array_equal(rgba[..., 3], rgba[::-1, :, 3])
    np.testing.assert_array_equal(rgba[..., 3], rgba[:, ::-1, 3])


def test_both_sides_of_an_open_surface_and_flipped_faces_are_lit_alike():
    caster = Raycaster(_square())
    front, _ = caster.render(_front())
    np.testing.assert_array_equal(front, caster.render(_front(-2.0))[0])
    np.testing.assert_array_equal(front, Raycaster(_square(flipped=True)).render(_front())[0])


def test_faces_that_meet_at_an_angle_differ_in_brightness():
    camera = orbit_cameras(1, SIZE, np.random.default_rng(0), elevation_deg=(30, 30))[0]
    rgba, _ = Raycaster(normalise_mesh(trimesh.creation.box())).render(camera, supersample=1)
    assert len(np.unique(rgba[rgba[..., 3] > 0][:, 0])) == 3


def test_a_mesh_outside_the_frame_gives_an_empty_picture():
    rgba, depth = Raycaster(_square().apply_translation([50, 0, 0])).render(_front())
    assert not rgba.any()
    assert np.isinf(depth).all()


def test_a_camera_within_the_mesh_sees_all_around():
    _, depth = Raycaster(trimesh.creation.box(extents=(9, 9, 9))).render(_front())
    np.testing.assert_allclose(depth, 2 + 4.5, atol=1e-5)


def test_a_floor_that_runs_on_behind_the_camera_fills_the_lower_frame():
    corners = [[-50, -0.3, -3], [50, -0.3, -3], [50, -0.3, 5], [-50, -0.3, 5]]
    rgba, _ = Raycaster(trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)).render(_front())
    assert (rgba[SIZE * 3 // 4 :, :, 3] == 255).all()
    assert not rgba[: SIZE // 2].any()


def test_first_hits_agree_with_the_depth_map():
    caster, camera = Raycaster(_two_spheres()), _front()
    _, depth = caster.render(camera)
    hits = caster.first_hits(camera)
    assert len(hits.row) == np.isfinite(depth).sum()
    np.testing.assert_array_equal(hits.depth, depth[hits.row, hits.column])


def test_supersample_zero_is_refused():
    with pytest.raises(ValueError, match="supersample"):
        Raycaster(_square()).render(_front(), supersample=0)


def test_missing_embreex_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex.mesh_construction", None)
    spec = importlib.util.spec_from_file_location("raycast_without_embreex", raycast.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)  # importing alone is no error
    with pytest.raises(ImportError, match=r"does not import here \(import of embreex.* halted.*aarch64"):
        fresh.require_embreex()
