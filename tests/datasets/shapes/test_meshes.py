"""datasets.shapes.meshes: what is read, refused, normalised and sampled."""

import numpy as np
import pytest
import trimesh

from datasets.shapes.meshes import Z_UP_TO_Y_UP, load_mesh, normalise_mesh, sample_surface

BROKEN = {
    "empty.obj": b"",
    "text.off": b"hello",
    "truncated.stl": b"solid" + bytes(100),
    "only_points.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\n",
    "no_area.off": b"OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n",
    "nan.off": b"OFF\n3 1 0\n0 0 0\nnan 0 0\n0 1 0\n3 0 1 2\n",
    "index.off": b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n",
    "not.glb": b"glTF1234",
    "flat.obj": b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n",
}


@pytest.mark.parametrize("suffix", ["off", "obj", "ply", "stl", "glb"])
def test_every_format_gives_the_same_surface(tmp_path, suffix):
    box = trimesh.creation.box(extents=(1, 2, 3))
    path = tmp_path / f"box.{suffix.upper()}"
    box.export(path, file_type=suffix)
    mesh = load_mesh(path)
    assert len(mesh.faces) == 12
    np.testing.assert_allclose(mesh.area, box.area, rtol=1e-6)


def test_off_header_glued_to_the_counts_is_read(tmp_path):
    (tmp_path / "glued.off").write_text("OFF3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    assert len(load_mesh(tmp_path / "glued.off").faces) == 1


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_refused_by_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=name):
        load_mesh(path)


def test_cloud_without_faces_is_refused(tmp_path):
    trimesh.PointCloud(np.eye(3)).export(tmp_path / "cloud.ply")
    with pytest.raises(ValueError, match=r"cloud\.ply: .*without faces"):
        load_mesh(tmp_path / "cloud.ply")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.off"):
        load_mesh(tmp_path / "gone.off")


def test_parts_of_a_scene_are_merged_in_place(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.add_geometry(trimesh.creation.icosphere(subdivisions=1))
    scene.export(tmp_path / "scene.glb")
    mesh = load_mesh(tmp_path / "scene.glb")
    assert len(mesh.faces) == 12 + 80
    np.testing.assert_allclose(mesh.bounds, [[-1, -1, -1], [5.5, 1, 1]], atol=0.2)


def test_normalised_box_has_centre_zero_and_diagonal_one_and_the_input_stays():
    box = trimesh.creation.box(extents=(1, 2, 3))
    box.apply_translation([10, 20, 30])
    low, high = normalise_mesh(box).bounds
    np.testing.assert_allclose(low + high, 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(high - low), 1)
    np.testing.assert_array_equal(box.bounds[1], [10.5, 21, 31.5])


def test_vertices_no_face_uses_do_not_count_in_normalisation():
    box = trimesh.creation.box()
    stray = trimesh.Trimesh(np.vstack([box.vertices, [[99, 99, 99]]]), box.faces, process=False)
    np.testing.assert_allclose(normalise_mesh(stray).bounds, normalise_mesh(box).bounds)


def test_samples_lie_on_the_faces_they_name():
    sphere = trimesh.creation.icosphere(subdivisions=2)
    points, face_index = sample_surface(sphere, 997, np.random.default_rng(0))
    assert points.shape == (997, 3)
    assert points.dtype == np.float32
    corners = sphere.triangles[face_index]
    weights = trimesh.triangles.points_to_barycentric(corners, points)
    assert weights.min() > -1e-5
    np.testing.assert_allclose(np.einsum("mk,mkc->mc", weights, corners), points, atol=1e-6)


def test_samples_are_spread_by_area():
    """A large and a small triangle of area ratio 9, and one without area."""
    corners = [[0, 0, 0], [3, 0, 0], [0, 3, 0], [5, 0, 0], [6, 0, 0], [5, 1, 0], [7, 0, 0]]
    mesh = trimesh.Trimesh(corners, [[0, 1, 2], [3, 6, 4], [3, 4, 5]], process=False)
    points, face_index = sample_surface(mesh, 20_000, np.random.default_rng(0))
    shares = np.bincount(face_index, minlength=3) / len(face_index)
    np.testing.assert_allclose(shares, [0.9, 0, 0.1], atol=0.01)
    np.testing.assert_allclose(points[face_index == 0].mean(axis=0), [1, 1, 0], atol=0.02)  # uniform within a face


def test_samples_repeat_with_the_generator():
    box = trimesh.creation.box()
    first, again, other = (sample_surface(box, 5, np.random.default_rng(seed))[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_z_up_becomes_y_up_without_mirroring():
    rotation = Z_UP_TO_Y_UP[:3, :3]
    np.testing.assert_array_equal(rotation @ [0, 0, 1], [0, 1, 0])
    assert np.linalg.det(rotation) == 1
