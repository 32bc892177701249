"""Names that a shell would act on: no program hands them to one, and printed commands quote them."""

import subprocess

import pytest
import trimesh

from data import make_shapes, pack, render_views
from data.check_data import main, parse_args
from tests.support.damage import flip
from tests.support.pickled_jobs import run_pickled
from tests.support.tiny_trees import cloud, write_shapenet

NAMES = ["a b; touch mark", "$(touch mark)", "`touch mark`", "a'b\" & touch mark #", "two\nlines; touch mark", "-rf *"]


def words_of(text, marker, folder):
    """The words bash makes of the command behind the last `marker` of a program's output; it must not do more."""
    command = text.rsplit(marker, 1)[1].rstrip("\n")
    script = f"set -- {command}\nprintf '%s\\0' \"$@\""
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert [path.name for path in folder.iterdir()] == []
    return done.stdout.split("\0")[:-1]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty working folder: a command that was run would leave its mark there."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "empty"


@pytest.mark.parametrize("name", NAMES)
def test_commands_to_copy_name_the_folder_as_it_is(tmp_path, empty, capsys, name):
    root = write_shapenet(tmp_path / name)
    main(parse_args(["--workers", "1", "--", str(root)]))
    assert str(root) in words_of(capsys.readouterr().out, "next: ", empty)
    pack.main(pack.parse_args(["--workers", "1", "--", str(root)]))
    assert {str(root), str(root / "shapenet_render.h5")} <= set(words_of(capsys.readouterr().out, "next: ", empty))
    main(parse_args(["--workers", "1", "--", str(root / "shapenet_render.h5")]))
    assert str(root / "shapenet_render.h5") in words_of(capsys.readouterr().out, "next: ", empty)


def test_a_damaged_packed_file_is_named_in_the_command_that_repairs_it(tmp_path, empty, capsys):
    root = write_shapenet(tmp_path / NAMES[0])
    pack.main(pack.parse_args(["--workers", "1", str(root)]))
    path = root / "shapenet_render.h5"
    flip(cloud(0)[50].tobytes())(path)
    capsys.readouterr()
    assert main(parse_args(["--workers", "1", str(path)])) == 1
    assert {str(root), str(path)} <= set(words_of(capsys.readouterr().out, "next: ", empty))


def test_made_shapes_are_checked_by_a_command_that_names_them_as_they_are(tmp_path, empty, capsys, monkeypatch):
    monkeypatch.setattr(make_shapes, "write_tree", lambda *_, **__: None)
    make_shapes.main(make_shapes.parse_args(["--out", str(tmp_path / NAMES[0])]))
    assert words_of(capsys.readouterr().out, "check it: ", empty)[-1] == str(tmp_path / NAMES[0])


def test_meshes_of_such_names_are_rendered_under_them(tmp_path, empty, monkeypatch):
    monkeypatch.setattr(render_views, "run_isolated", run_pickled)
    for name in NAMES:
        (tmp_path / "meshes" / name).mkdir(parents=True)
        trimesh.creation.box().export(tmp_path / "meshes" / name / f"{name}.off")
    flags = ["--views", "1", "--size", "8", "--points", "16", "--workers", "1"]
    out = tmp_path / "out"
    assert render_views.main(render_views.parse_args([str(tmp_path / "meshes"), "--out", str(out), *flags])) == 0
    assert {path.stem for path in (out / "ShapeNet").rglob("*.ply")} == set(NAMES)
    assert list(empty.iterdir()) == []
