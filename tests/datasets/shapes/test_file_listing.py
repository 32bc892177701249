"""datasets.shapes.file_listing: which files of a folder every program sees, and the names of their shapes."""

import os
from pathlib import PurePath

import pytest

from data import check_data, render_views
from datasets.shapes.file_listing import list_files, place_of
from datasets.shapes.shape_folder import list_shape_files
from datasets.shapes.shape_tree import list_shapes
from tests.support.tiny_trees import write_modelnet40, write_shapenet


def _touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_hidden_files_are_skipped_and_links_followed_once(tmp_path):
    _touch(tmp_path, "in/b/x.off", "in/a.off", "in/._a.off", "in/.git/c.off", "other/y.off")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/linked").symlink_to(tmp_path / "other")
    (tmp_path / "in/linked_again").symlink_to(tmp_path / "other")
    paths, unreadable = list_files(tmp_path / "in")
    assert [str(path.relative_to(tmp_path / "in")) for path in paths] == ["a.off", "b/x.off", "linked/y.off"]
    assert not unreadable


def _lock(monkeypatch, name):
    """Let a folder of this name not be read, as lost+found is not; root may read all others."""
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith(name):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in refuse(path)])


def test_a_folder_that_may_not_be_read_is_reported_at_the_end_and_in_the_exit_status(tmp_path, monkeypatch, capsys):
    (tmp_path / "in/lost+found").mkdir(parents=True)
    (tmp_path / "in/a.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    _lock(monkeypatch, "lost+found")
    flags = ["--out", str(tmp_path / "out"), "--views", "1", "--size", "9", "--points", "8", "--workers", "1"]
    assert render_views.main(render_views.parse_args([str(tmp_path / "in"), *flags])) == 1
    message = f"{tmp_path}/in/lost+found: Permission denied, left out"
    assert capsys.readouterr().err.endswith(f"failed: {message}\n")
    with pytest.raises(PermissionError, match="not all of .*lost.found: Permission denied"):
        list_shape_files(tmp_path / "in")


def test_the_validator_reports_on_a_disk_with_a_folder_that_may_not_be_read(tmp_path, monkeypatch, capsys):
    write_modelnet40(tmp_path)
    (tmp_path / "lost+found").mkdir()
    _lock(monkeypatch, "lost+found")
    assert check_data.main(check_data.parse_args([str(tmp_path), "--workers", "1"])) == 1
    text = capsys.readouterr().out
    assert "ModelNet40 layout" in text
    assert text.endswith(f"{tmp_path}/lost+found: Permission denied, not checked\n")


def test_hidden_clouds_and_pictures_of_a_tree_are_skipped(tmp_path):
    root = write_shapenet(tmp_path)
    before = list_shapes(root)
    shape = before[0]
    _touch(shape.cloud_path(root).parent, f"._{shape.shape_id}.ply")
    _touch(shape.view_folder(root), "._00.png")
    assert list_shapes(root) == before


@pytest.mark.parametrize(
    "path, category, shape_id",
    [
        ("chair.off", "", "chair"),
        ("chair/old/a.off", "chair/old", "a"),
        ("02691156/1a04e3eab45ca15d/models/model_normalized.obj", "02691156", "1a04e3eab45ca15d"),
        ("02691156/1a04e3eab45ca15d/model.obj", "02691156", "1a04e3eab45ca15d"),
        ("models/model_normalized.obj", "models", "model_normalized"),
    ],
)  # fmt: skip
def test_shapes_are_named_by_folder_and_file_and_in_shapenetcore_by_synset_and_model(path, category, shape_id):
    assert place_of(PurePath(path)) == (category, shape_id)
