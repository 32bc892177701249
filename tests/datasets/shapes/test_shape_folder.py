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
