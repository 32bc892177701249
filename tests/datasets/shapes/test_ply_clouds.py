import numpy as np
import pytest

from datasets.shapes.ply_clouds import read_points
from tests.support.damage import cut, replace_bytes
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


def write_ascii(count, rows):
    return lambda path: path.write_text(HEADER.format(count=count, properties=XYZ) + rows)


POINT, NO_POINT = cloud(0)[5].tobytes(), np.full(3, np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    "damage, problem",
    [
        *((cut(keep), "is not a readable PLY file") for keep in (0, 40, -50)),
        (replace_bytes(POINT, NO_POINT), r"has 1 of 97 points that are not finite \(first: vertex 5\)"),
        (write_ascii(0, ""), "is a PLY file without vertices"),
        (write_ascii(4, "0 0 0\n1 0 0\n0 1 0\n"), "is not a readable PLY file .*row 3: early end-of-file"),
    ],
)
def test_a_file_at_fault_is_named(tmp_path, damage, problem):
    path = write_ply(tmp_path / "bad.ply", cloud(0))
    damage(path)
    with pytest.raises(ValueError, match=rf"bad\.ply {problem}"):
        read_points(path)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.ply"):
        read_points(tmp_path / "absent.ply")
