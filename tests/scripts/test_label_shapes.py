"""`python -m scripts.label_shapes` on a few meshes: what it writes, corrects, keeps and refuses."""

import csv
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import trimesh
from PIL import Image

from data import render_views
from models.methods.text_alignment import load_towers
from scripts import label_shapes
from tests.support.alignment_runs import aligned_towers, toy_texts
from tests.support.browser import CHROMIUM, Browser
from tests.support.light_runs import flags_of, light, same
from tests.support.pickled_jobs import run_pickled
from tests.support.program_calls import message_of, run
from utils.texts.shape_labels import COLUMNS, ShapeLabel, read_corrections

pytestmark = pytest.mark.usefixtures("light_training")
NAMES = ["airplane", "mug", "table"]
MESHES = ["box.off", "box2.off", "round/ball.stl", "round/ball2.stl"]


@pytest.fixture(scope="module")
def towers(tmp_path_factory, light_training):
    return aligned_towers(tmp_path_factory)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes")
    (folder / "round").mkdir()
    for number, name in enumerate(MESHES):
        shape = trimesh.creation.icosphere(1) if "ball" in name else trimesh.creation.box((1, 2, 3 + number))
        shape.export(folder / name)
    (folder / "bad.obj").write_text("v 1 2\n")
    return folder


def words(towers, meshes, out, *more):
    flags = "--views 2 --size 16 --num_points 48 --batch_size 2 --workers 1 --device cpu --threshold 0 --base_lr 0.1"
    named = ("--towers", towers, "--classes", ",".join(NAMES), "--out", out)
    return (meshes, *named, *flags.split(), *more)


def label(towers, meshes, out, *more):
    with toy_texts(), light():
        return run(label_shapes, *words(towers, meshes, out, *more))


@pytest.fixture(scope="module")
def first(towers, meshes, tmp_path_factory):
    """A first round without training, whose renderer runs as a program of its own."""
    out = tmp_path_factory.mktemp("labels") / "out"
    assert label(towers, meshes, out, "--steps", 0) == 1
    return out


@pytest.fixture
def out(first, tmp_path, monkeypatch):
    """A copy of the first round; what is rendered more is rendered in this process."""

    def render(command, cwd):
        return SimpleNamespace(returncode=render_views.main(render_views.parse_args(command[3:])))

    monkeypatch.setattr(label_shapes, "subprocess", SimpleNamespace(run=render))
    monkeypatch.setattr(render_views, "run_isolated", run_pickled)
    return shutil.copytree(first, tmp_path / "out")


def rows_of(folder):
    with (folder / "labels.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_every_mesh_that_can_be_read_is_labelled_and_shown_the_least_certain_first(first):
    rows = rows_of(first)
    assert [row["file"] for row in rows] == MESHES
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        assert {row["class"], row["second"]} < set(NAMES)
        assert 1 >= float(row["confidence"]) >= float(row["second_confidence"]) > 0
        assert (row["decided_by"] in ("both", "points", "images", "neither"), row["correct"]) == (True, "")
    with Image.open(first / "sheet.png") as picture:
        assert picture.width > 1000
    page = (first / "labels.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert not re.search(r'(src|href)="(?!data:)', page)
    shown = [float(rows[one["row"]]["confidence"]) for one in data["shown"]]
    assert shown == sorted(shown)
    assert [len(one["pictures"]) for one in data["shown"]] == [2] * 4


@pytest.mark.parametrize(
    "files, titles", [(("a/x.obj", "a/y.obj"), ("90% y", "40% x")), (("a/x.obj", "b/x.obj"), ("90% b", "40% a"))]
)
def test_pictures_are_named_by_their_folders_where_all_files_have_one_name(files, titles):
    labels = [ShapeLabel(file, "mug", share, "cap", 0.1, "both") for file, share in zip(files, (0.4, 0.9))]
    shapes = [SimpleNamespace(views=[Path("0.png")])] * 2
    tiles = label_shapes._tiles("mug", labels, shapes, [0, 1])
    assert [(tile.text, tile.is_marked) for tile in tiles] == [(titles[0], False), (titles[1], True)]


def test_corrections_are_fixed_learned_and_kept_and_so_are_earlier_rounds(towers, meshes, out, capsys):
    before = (out / "labels.csv").read_text()
    wanted = next(name for name in NAMES if name != rows_of(out)[0]["class"])
    (out.parent / "c.csv").write_text(f"file,correct\nbox.off,{wanted}\n")
    assert label(towers, meshes, out, "--steps", 2, "--correct", out.parent / "c.csv") == 1
    written = capsys.readouterr()
    assert "left out: bad.obj" in written.err
    assert "self-trained for 2 steps" in written.out
    row = rows_of(out)[0]
    assert (row["class"], row["confidence"], row["decided_by"], row["correct"]) == (wanted, "1.0000", "person", wanted)
    assert (out / "rounds/1/labels.csv").read_text() == before
    assert (out / "rounds/1/sheet.png").is_file()
    assert label(towers, meshes, out, "--steps", 2) == 1  # the third round knows of no correction
    teachers = [load_towers(out / f"training/round{number}/models/teacher_last.pth") for number in (2, 3)]
    assert not same(teachers[0].state_dict(), teachers[1].state_dict())
    assert len(list((out / "rounds").glob("*/labels.csv"))) == 2


def test_an_interrupted_round_goes_on_and_begins_anew_only_when_told(towers, meshes, out, monkeypatch, capsys):
    copy = shutil.copytree(out, out.parent / "copy")
    assert label(towers, meshes, copy, "--steps", 4) == 1
    saved = label_shapes.write
    monkeypatch.setattr(label_shapes, "write", lambda *_: 1 / 0)  # the computer stops
    with pytest.raises(ZeroDivisionError):
        label(towers, meshes, out, "--steps", 4)
    monkeypatch.setattr(label_shapes, "write", saved)
    with toy_texts(), light():
        message = message_of(capsys, label_shapes, *words(towers, meshes, out, "--steps", 6))
    assert "--steps was 4, now 6; to begin this round anew, delete" in message
    state = out / "training/round2/last.pt"
    written = state.stat().st_mtime_ns
    assert label(towers, meshes, out, "--steps", 4) == 1
    assert state.stat().st_mtime_ns == written
    assert (out / "labels.csv").read_text() == (copy / "labels.csv").read_text()
    assert "sessions" in json.loads((out / "training/round2/config.json").read_text())
    assert flags_of(out / "training/round2")["steps"] == 4


def test_a_mesh_that_has_changed_is_rendered_again(towers, meshes, out):
    views = {path.parents[1].name: path for path in (out / "rendered").rglob("00.png")}
    before, kept = (meshes / MESHES[0]).read_bytes(), {name: path.read_bytes() for name, path in views.items()}
    try:
        trimesh.creation.icosphere(1).export(meshes / MESHES[0])
        assert label(towers, meshes, out, "--steps", 0) == 1
    finally:
        (meshes / MESHES[0]).write_bytes(before)
    changed = [name for name, path in views.items() if path.read_bytes() != kept[name]]
    assert changed == [Path(MESHES[0]).stem]


def test_what_cannot_be_done_is_refused_before_anything_is_rendered(towers, meshes, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(label_shapes, "subprocess", None)
    (tmp_path / "c.csv").write_text("file,correct\nbox.off,boat\n")
    for more, message in (
        (("--classes", "chair"), "name two classes or more"),
        (("--correct", tmp_path / "c.csv"), "'boat', which is no class"),
        (("--correct", tmp_path / "none.csv"), "none.csv"),
        (("--labels", "points"), "--labels points trains one of the towers"),
        (("--out", meshes / "labels"), "is inside"),
    ):
        with toy_texts():
            assert message in message_of(capsys, label_shapes, *words(towers, meshes, tmp_path / "out", *more))
    assert not (tmp_path / "out").exists()


def test_a_folder_in_which_no_mesh_can_be_read_is_an_error(towers, out, tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "bad.obj").write_text("v 1 2\n")
    with toy_texts():
        message = message_of(capsys, label_shapes, *words(towers, tmp_path / "m", tmp_path / "new"))
    assert "none of the 1 meshes" in message
    with toy_texts():
        assert "was begun with mesh_dir" in message_of(capsys, label_shapes, *words(towers, tmp_path / "m", out))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_corrections_of_the_page_are_what_the_program_reads(first, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        browser.open(first / "labels.html")
        browser.run("{ const one = document.querySelector('.card select'); one.value = 'mug';"
                    " one.dispatchEvent(new Event('change')); }")  # fmt: skip
        assert browser.run("document.querySelector('.readout').textContent").startswith("1 shape with a class from you")
        text = browser.run("toCsv([data.columns, ...data.rows])")
        file = browser.run("data.rows[data.shown[0].row][0]")
        browser.run("document.querySelector('.chooser button').click()")
        assert browser.faults == []
    (tmp_path / "corrected.csv").write_text(text)
    assert read_corrections(tmp_path / "corrected.csv", MESHES, NAMES) == {file: 1}
