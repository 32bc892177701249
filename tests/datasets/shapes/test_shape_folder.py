import numpy as np
import pytest
import trimesh

from datasets.shapes.shape_folder import MESH_POINTS, list_shape_files, read_shape
from tests.support.tiny_trees import cloud, write_ply, write_shapenet


def test_a_tree_is_listed_with_names_categories_and_views(tmp_path):
    root = write_shapenet(tmp_path, ["03001627/b", "03001627/a", "zz/c"])
    shapes = list_shape_files(root)
    assert [(shape.name, shape.category) for shape in shapes] == [
        ("03001627/a", "chair"),
        ("03001627/b", "chair"),
        ("zz/c", "zz"),
    ]
    assert [view.name for view in shapes[0].views] == ["00.png", "01.png", "02.png"]
    assert all(shape.path.is_file() and shape.views[0].is_file() for shape in shapes)


def test_any_folder_is_listed_with_its_sub_folders_as_categories(tmp_path):
    for name in ("top.npy", "chairs/b.OBJ", "chairs/old/a.ply", "chairs/notes.md", ".hidden/c.ply", "chairs/.d.ply"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [(shape.name, shape.category, shape.views) for shape in list_shape_files(tmp_path)] == [
        ("chairs/b.OBJ", "chairs", ()),
        ("chairs/old/a.ply", "chairs/old", ()),
        ("top.npy", "", ()),
    ]


def test_an_empty_or_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"no shapes in {tmp_path}: expected ShapeNet"):
        list_shape_files(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder of shapes at .*nowhere"):
        list_shape_files(tmp_path / "nowhere")


def test_clouds_of_every_kind_are_read_in_file_order(tmp_path):
    points = cloud(0, 11)
    with_colour = np.hstack([points, np.ones((11, 3))])
    np.save(tmp_path / "a.npy", with_colour)
    for suffix in ("txt", "xyz", "pts"):
        np.savetxt(tmp_path / f"a.{suffix}", with_colour)
    write_ply(tmp_path / "a.ply", points)
    for path in sorted(tmp_path.iterdir()):
        found = read_shape(path)
        assert found.dtype == np.float32, path
        np.testing.assert_allclose(found, points, atol=1e-6, err_msg=str(path))


@pytest.mark.parametrize(
    "name, content",
    [
        ("commas.txt", "0,1,2\n3, 4, 5\n"), ("bom.xyz", "\ufeff0 1 2\n3 4 5 255 0 0\n"),
        ("count.pts", "2\n0 1 2 9\n3 4 5\n"),
        ("names.xyz", "X Y Z\n0 1 2\n3 4 5\n"), ("comments.txt", "//X Y Z\n# two\n0 1 2 # first\n\n3 4 5\n"),
        ("csv.txt", "x,y,z\n0,1,2\n3,4,5\n"),
    ],
)  # fmt: skip
def test_text_of_other_programs_is_read(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    np.testing.assert_array_equal(read_shape(tmp_path / name), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("short.pts", "3\n0 1 2\n", "announces 3 points and holds 1"),
        ("comma.txt", "0,5 1,5 2,5\n", "line 1: expected x y z, found '0 5 1 5 2 5'"),
        ("two.xyz", "0 1 2\n3 4\n", "line 2: expected x y z, found '3 4'"),
    ],
)
def test_text_that_is_no_table_of_points_is_refused_with_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        read_shape(tmp_path / name)


@pytest.mark.parametrize("names", [",x,y,z", "intensity z y x", '"Y","Z","X","label"'])
def test_columns_named_x_y_and_z_are_taken_wherever_they_stand(tmp_path, names):
    separator = "," if "," in names else " "
    words = [name.strip('"').lower() for name in names.split(separator)]
    row = separator.join(str({"x": 1, "y": 2, "z": 3}.get(word, 9)) for word in words)
    (tmp_path / "a.txt").write_text(f"{names}\n{row}\n{row}\n")
    np.testing.assert_array_equal(read_shape(tmp_path / "a.txt"), [[1, 2, 3]] * 2)


def test_strips_of_a_ply_file_are_a_surface(tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    strips = "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    (tmp_path / "a.ply").write_text(header + strips + "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 3 2\n")
    assert read_shape(tmp_path / "a.ply").shape == (MESH_POINTS, 3)


def test_arrays_with_points_last_or_a_batch_of_one_are_recognised(tmp_path):
    points = cloud(0, 11)
    for number, array in enumerate((points.T, points[None], points.T[None])):
        np.save(tmp_path / f"{number}.npy", array)
        np.testing.assert_array_equal(read_shape(tmp_path / f"{number}.npy"), points)


@pytest.mark.parametrize("suffix", ["ply", "off", "obj", "stl", "glb"])
def test_a_mesh_is_sampled_on_its_surface_by_the_seed(tmp_path, suffix):
    path = tmp_path / f"box.{suffix}"
    trimesh.creation.box(extents=(2, 2, 2)).export(path)
    points = read_shape(path, seed=3)
    assert points.shape == (MESH_POINTS, 3)
    np.testing.assert_allclose(np.abs(points).max(axis=1), 1, atol=1e-6)
    assert np.array_equal(points, read_shape(path, seed=3))
    assert not np.array_equal(points, read_shape(path, seed=4))


def test_bad_files_are_refused_by_name(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "words.xyz").write_text("a b c\n")
    (tmp_path / "header.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': ('<f4',")
    np.save(tmp_path / "flat.npy", np.zeros(6))
    np.save(tmp_path / "nan.npy", np.full((3, 3), np.nan))
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    (tmp_path / "picture.png").touch()
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match=path.name):
            read_shape(path)
    with pytest.raises(FileNotFoundError, match=r"no shape at .*none\.npy"):
        read_shape(tmp_path / "none.npy")
