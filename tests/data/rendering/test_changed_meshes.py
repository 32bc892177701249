"""data.render_views run again on meshes that have changed, or are called otherwise, since."""

import os
import re
import shutil

import pytest
import trimesh

from data import render_views
from tests.support.pickled_jobs import run_pickled
from tests.support.rendered_meshes import contents, render, write_meshes

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture
def in_process(monkeypatch):
    """Meshes are converted in this process."""
    monkeypatch.setattr(render_views, "run_isolated", run_pickled)


def test_shapes_whose_mesh_has_changed_are_rendered_again_and_no_others(tmp_path, capsys):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    render(folder, "--out", out)
    before = contents(out)
    first = (folder / "box.off").stat()
    trimesh.creation.box(extents=(2, 1, 3)).export(folder / "box.off")  # as many bytes as before
    assert (folder / "box.off").stat().st_size == first.st_size
    os.utime(folder / "box.off", ns=(first.st_atime_ns, first.st_mtime_ns - 10**9))  # older, as of a copy with its time
    (folder / "round" / "ball.stl").touch()
    capsys.readouterr()
    assert render(folder, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "1 meshes have changed since they were rendered, first meshes/box: rendering them again" in printed
    assert "1 shapes were finished before" in printed
    changed = {name for name, content in contents(out).items() if before[name] != content}
    assert {"ShapeNet/meshes/box.ply", "ShapeNetRendering/meshes/box/mesh.json"} < changed
    assert not [name for name in changed if "ball" in name]
    (folder / "box.off").write_text("OFF")
    assert render(folder, "--out", out) == 1
    assert [path.name for path in out.rglob("*.ply")] == ["ball.ply"]


def test_shapes_that_a_mesh_of_the_same_stem_renames_are_removed_under_their_old_name(tmp_path, capsys):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    render(folder, "--out", out)
    (out / "ShapeNet" / "meshes" / "own.ply").write_text("of no record")
    trimesh.creation.icosphere(subdivisions=1).export(folder / "box.stl")
    capsys.readouterr()
    assert render(folder, "--out", out) == 0
    assert "removed 1 shapes, first meshes/box: their meshes have other names now" in capsys.readouterr().out
    listed = {path.stem for path in (out / "ShapeNet" / "meshes").iterdir()}
    assert (listed, set(os.listdir(out / "ShapeNetRendering" / "meshes"))) == (
        {"box_off", "box_stl", "own"},
        {"box_off", "box_stl"},
    )
    (folder / "box.off").unlink()
    assert render(folder, "--out", out) == 0
    assert "note: 1 shapes, first meshes/box_off, are of no mesh now" in capsys.readouterr().out
    assert set(os.listdir(out / "ShapeNetRendering" / "meshes")) == {"box_off", "box"}


def test_links_to_a_mesh_change_nothing_where_they_come_and_go(tmp_path, capsys):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    (folder / "link.off").symlink_to(folder / "box.off")
    render(folder, "--out", out, "--pairs")
    before = contents(out)
    ball = folder / "round" / "ball.stl"
    shutil.copyfile(ball, tmp_path / "elsewhere.stl")
    ball.unlink()
    ball.symlink_to(tmp_path / "elsewhere.stl")
    (folder / "link.off").unlink()
    capsys.readouterr()
    assert render(folder, "--out", out) == 0
    assert "note: 1 shapes, first meshes/link, are of no mesh now" in capsys.readouterr().out
    (tmp_path / "elsewhere.stl").unlink()
    assert render(folder, "--out", out) == 0
    assert "2 shapes were finished before" in capsys.readouterr().out
    assert contents(out) == before


def test_of_trees_of_earlier_versions_the_shapes_that_are_older_than_their_mesh_are_rendered_again(tmp_path, capsys):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    render(folder, "--out", out)
    for record in out.rglob("mesh.json"):
        record.unlink()
    capsys.readouterr()
    assert render(folder, "--out", out) == 0
    assert "2 shapes were finished before" in capsys.readouterr().out
    later = (out / "ShapeNet/meshes/box.ply").stat().st_mtime + 1
    os.utime(folder / "box.off", (later, later))
    assert render(folder, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "1 meshes have changed since they were rendered, first meshes/box" in printed
    assert [path.parent.name for path in out.rglob("mesh.json")] == ["box"]
    next(out.rglob("mesh.json")).write_text("{}")
    with pytest.raises(ValueError, match=r"box/mesh\.json is damaged .*: delete "):
        render(folder, "--out", out)


def test_a_mesh_that_is_not_that_of_a_shape_without_a_record_gets_no_pairs(tmp_path, capsys):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    render(folder, "--out", out)
    trimesh.creation.box(extents=(3, 2, 3)).export(folder / "box.off")
    os.utime(folder / "box.off", (0, 0))
    (out / "ShapeNetRendering/meshes/box/mesh.json").unlink()
    assert render(folder, "--out", out, "--pairs") == 1
    error = capsys.readouterr().err
    assert re.search(r"failed: \S*box\.off: \S*box\.ply: \d+ of 97 points do not lie on the mesh", error)
    assert [path.parent.name for path in out.rglob("pairs.npz")] == ["ball"]
