"""data.rendering.mesh_files: which files, under which names."""

from pathlib import Path

import pytest

from data.rendering.mesh_files import find_meshes


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _names(folder: Path) -> list[tuple[str, str]]:
    return [(mesh.synset, mesh.shape_id) for mesh in find_meshes(folder).found]


def test_sub_folders_become_synsets(tmp_path: Path) -> None:
    _touch(tmp_path, "top.off", "chair/a.OBJ", "chair/old/b.ply")
    assert sorted(_names(tmp_path)) == [("chair", "a"), ("chair__old", "b"), ("meshes", "top")]


def test_files_are_sorted(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"{name}.stl" for name in "dacb"))
    assert [shape_id for _, shape_id in _names(tmp_path)] == list("abcd")


def test_names_that_differ_only_in_suffix_keep_it(tmp_path: Path) -> None:
    _touch(tmp_path, "chair.obj", "chair.OFF", "table.off")
    assert sorted(_names(tmp_path)) == [("meshes", "chair_obj"), ("meshes", "chair_off"), ("meshes", "table")]


def test_names_that_clash_after_all_are_refused(tmp_path: Path) -> None:
    _touch(tmp_path, "chair.obj", "chair.off", "chair_obj.ply")
    with pytest.raises(ValueError, match=r"chair\.obj and .*chair_obj\.ply would both become meshes/chair_obj"):
        find_meshes(tmp_path)


def test_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    _touch(tmp_path, "a.obj", "._a.obj", "a.mtl", ".git/b.obj")
    assert _names(tmp_path) == [("meshes", "a")]


def test_no_mesh_is_an_error_that_says_what_was_sought_and_found(tmp_path: Path) -> None:
    _touch(tmp_path, "a.dae", "b.dae", "README")
    with pytest.raises(
        FileNotFoundError, match=r"\.glb, \.gltf, \.obj, \.off, \.ply, \.stl, found 2 x \.dae, 1 x no suffix"
    ):
        find_meshes(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        find_meshes(tmp_path / "gone")
