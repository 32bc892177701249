"""datasets.shapes.mesh_files: which files, under which names."""

import pytest

from datasets.shapes.mesh_files import find_meshes


def _touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    "files, expected",
    [
        (["top.off", "chair/a.OBJ", "chair/old/b.ply"], ["chair/a", "chair__old/b", "meshes/top"]),
        (["d.stl", "a.stl", "c.stl", "b.stl"], ["meshes/a", "meshes/b", "meshes/c", "meshes/d"]),
        (["chair.obj", "chair.OFF", "table.off"], ["meshes/chair_off", "meshes/chair_obj", "meshes/table"]),
        (["a.obj", "._a.obj", "a.mtl", ".git/b.obj"], ["meshes/a"]),
    ],
    ids=["sub-folders are synsets", "sorted", "equal names keep their suffix", "hidden and other files left out"],
)
def test_meshes_are_found_and_named(tmp_path, files, expected):
    _touch(tmp_path, *files)
    assert [f"{mesh.synset}/{mesh.shape_id}" for mesh in find_meshes(tmp_path).found] == expected


def test_names_that_clash_after_all_are_refused(tmp_path):
    _touch(tmp_path, "chair.obj", "chair.off", "chair_obj.ply")
    with pytest.raises(ValueError, match=r"chair\.obj and .*chair_obj\.ply would both become meshes/chair_obj"):
        find_meshes(tmp_path)


def test_no_mesh_is_an_error_that_says_what_was_sought_and_found(tmp_path):
    _touch(tmp_path, "a.dae", "b.dae", "README")
    with pytest.raises(
        FileNotFoundError, match=r"\.glb, \.gltf, \.obj, \.off, \.ply, \.stl, found 2 x \.dae, 1 x no suffix"
    ):
        find_meshes(tmp_path)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        find_meshes(tmp_path / "gone")
