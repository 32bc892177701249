import numpy as np
import pytest

from datasets.shapes.ply_clouds import read_points
from tests.support.tiny_trees import cloud, write_ply

HEADER = "ply\nformat ascii 1.0\nelement vertex {count}\n{properties}end_header\n"
XYZ = "property float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize("encoding, tolerance", [("binary", 0.0), ("ascii", 1e-6)])
def test_both_encodings_give_the_stored_vertices_in_order(tmp_path, encoding, tolerance):
    points = read_points(write_ply(tmp_path / "a.ply", cloud(3), encoding))
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, cloud(3), rtol=0, atol=tolerance)


def test_other_properties_and_faces_are_ignored(tmp_path):
    path = tmp_path / "mesh.ply"
    properties = "property double x\nproperty double y\nproperty double z\nproperty uchar red\n"
    properties += "element face 1\nproperty list uchar int vertex_indices\n"
    path.write_text(HEADER.format(count=4, properties=properties) + "0 0 0 9\n1 0 0 9\n0 1 0 9\n5 6 7 9\n3 0 1 2\n")
    np.testing.assert_array_equal(read_points(path), [[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 6, 7]])


def test_a_file_without_vertices_is_named(tmp_path):
    path = tmp_path / "none.ply"
    path.write_text(HEADER.format(count=0, properties=XYZ))
    with pytest.raises(ValueError, match=r"none\.ply is a PLY file without vertices"):
        read_points(path)


def test_a_vertex_that_is_not_finite_is_named(tmp_path):
    points = cloud(0)
    points[5, 1] = np.nan
    with pytest.raises(ValueError, match=r"nan\.ply has 1 of 97 points that are not finite \(first: vertex 5\)"):
        read_points(write_ply(tmp_path / "nan.ply", points))


@pytest.mark.parametrize("keep", [0, 40, -50])
def test_a_damaged_binary_file_is_named(tmp_path, keep):
    path = write_ply(tmp_path / "cut.ply", cloud(0))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cut\.ply is not a readable PLY file"):
        read_points(path)


def test_an_ascii_file_that_ends_early_is_not_taken_for_a_smaller_cloud(tmp_path):
    path = tmp_path / "short.ply"
    path.write_text(HEADER.format(count=4, properties=XYZ) + "0 0 0\n1 0 0\n0 1 0\n")
    with pytest.raises(ValueError, match=r"short\.ply is not a readable PLY file .*row 3: early end-of-file"):
        read_points(path)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.ply"):
        read_points(tmp_path / "absent.ply")
