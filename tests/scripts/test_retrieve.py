"""`python -m scripts.retrieve` with the state of a tiny pre-training run."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from scripts import retrieve
from tests.support import pretraining_runs
from tests.support.entry_programs import error_of
from tests.support.program_calls import run
from tests.support.tiny_trees import cloud, disc_view, write_ply, write_shapenet
from utils.figures import contact_sheet as sheets
from utils.retrieval.search import may_be_trained_on

pytestmark = pytest.mark.usefixtures("light_training")
SHAPES = [f"{synset}/{number}" for synset in ("02691156", "03001627") for number in range(3)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_shapenet(tmp_path_factory.mktemp("tree"), SHAPES, num_views=2, size=24)


@pytest.fixture(scope="module")
def state(root, tmp_path_factory, light_training):
    return pretraining_runs.train(root, tmp_path_factory.mktemp("runs"), "--epochs", 1, model="dgcnn") / "last.pt"


@pytest.fixture
def copied(root, tmp_path):
    """The same shapes in another folder, which the checkpoint does not record as its data."""
    return shutil.copytree(root, tmp_path / "held_out")


def ask(state, shapes, *flags):
    run(retrieve, "--model_path", state, "--shapes", shapes, "--device", "cpu", *flags)


def answers(capsys):
    """Return the names of the answers by the file name of the query."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("query ")]
    parts = [line.removeprefix("query ").split(": ", 1) for line in lines]
    return {path.rsplit("/", 1)[-1]: [found.split()[-2] for found in best.split(", ")] for path, best in parts}


def message_of(capsys, *words):
    message = error_of(lambda: ask(*words), capsys)
    assert "\n" not in message
    return message


@pytest.fixture
def drawn(monkeypatch):
    """Rows of the contact sheets that are drawn."""
    rows = []
    monkeypatch.setattr(retrieve, "contact_sheet", lambda sheet: rows.extend(sheet) or sheets.contact_sheet(sheet))
    return rows


def test_pictures_clouds_and_meshes_find_shapes_and_a_cloud_finds_itself(state, root, tmp_path, capsys):
    Image.fromarray(disc_view(50)[..., :3]).save(tmp_path / "photo.jpg")
    np.save(tmp_path / "self.npy", cloud(4))
    mesh = trimesh.creation.box(extents=(1, 2, 3))
    (tmp_path / "box.off").write_text(mesh.export(file_type="off"))
    (tmp_path / "box.ply").write_bytes(mesh.export(file_type="ply"))
    names = ("photo.jpg", "self.npy", "box.off", "box.ply")
    ask(state, root, "--query", *(tmp_path / name for name in names), "--top", 3)
    found = answers(capsys)
    assert list(found) == list(names)
    assert {len(best) for best in found.values()} == {3}
    assert found["self.npy"][0] == "03001627/1"
    assert found["box.off"] == found["box.ply"]


def test_the_sheet_shows_each_query_and_its_answers(state, root, tmp_path, drawn):
    write_ply(tmp_path / "asked.ply", cloud(0))
    Image.fromarray(disc_view(50)).save(tmp_path / "render.png")
    queries = (tmp_path / "asked.ply", tmp_path / "render.png")
    ask(state, root, "--query", *queries, "--top", 2, "--out", tmp_path / "o.png")
    by_cloud, by_picture = drawn
    assert [cell.content.ndim for cell in by_cloud] == [2, 3, 3]
    assert by_picture[0].content.shape == (50, 50, 3)
    assert by_picture[0].content[0, 0].tolist() == [0, 0, 0]  # the training's background, not the colour hidden there
    assert by_cloud[1].title.startswith("1  0\nairplane  ")
    assert by_cloud[1].frame is None
    with Image.open(tmp_path / "o.png") as image:
        assert image.width > image.height


def test_without_a_query_the_sheet_asks_with_views_of_the_folder_one_a_category(state, root, tmp_path, drawn):
    ask(state, root, "--out", tmp_path / "sheet.png", "--top", len(SHAPES))
    assert [row[0].title for row in drawn] == ["airplane view", "chair view"]
    for row in drawn:
        frames = [cell.frame for cell in row[1:]]
        assert len([frame for frame in frames if frame is not None]) == 3  # its own, and two of its category
        assert len(set(frames)) == 3


def test_shapes_without_pictures_are_shown_as_clouds(state, tmp_path, drawn, capsys):
    for number in range(3):
        write_ply(tmp_path / "mine" / "kind" / f"{number}.ply", cloud(number))
    ask(state, tmp_path / "mine", "--query", tmp_path / "mine" / "kind" / "2.ply", "--out", tmp_path / "o.png")
    assert [cell.content.ndim for cell in drawn[0]] == [2, 2, 2, 2]
    assert answers(capsys)["2.ply"][0] == "kind/2.ply"


def test_evaluation_records_both_ways(state, copied, tmp_path, capsys):
    ask(state, copied, "--evaluate", "--json", tmp_path / "new" / "r.json")
    to_shape, to_image = json.loads((tmp_path / "new" / "r.json").read_text())["results"]
    for record in (to_shape, to_image):
        assert (record["task"], record["dataset"], record["split"]) == ("retrieval", "shapenet_render", "test")
        assert (record["model"], record["k"], record["num_points"], record["normalize"]) == ("dgcnn", 5, 64, True)
        assert (record["num_test"], record["num_classes"], record["seed"]) == (6, 2, 0)
        assert record["checkpoint_sha256"] == hashlib.sha256(state.read_bytes()).hexdigest()
        assert record["chance"] == pytest.approx(1 / 6)
        assert 0 <= record["recall_1"] <= record["recall_5"] <= record["recall_10"] == 1
    assert (to_shape["protocol"], to_shape["num_queries"], to_shape["num_gallery"]) == ("image_to_shape", 12, 6)
    assert (to_image["protocol"], to_image["num_queries"], to_image["num_gallery"]) == ("shape_to_image", 6, 12)
    printed = capsys.readouterr().out
    assert printed.count("result task=retrieval protocol=") == 2
    assert f"recall_1={to_shape['recall_1']:.4f}" in printed


def test_shapes_the_checkpoint_was_trained_on_are_reported_as_such(state, root, tmp_path, capsys):
    ask(state, root, "--evaluate", "--json", tmp_path / "r.json")
    assert f"warning: the checkpoint was trained on {root}: nothing is held out" in capsys.readouterr().err
    assert json.loads((tmp_path / "r.json").read_text())["results"][0]["split"] == "train"


@pytest.mark.parametrize(
    ("shapes", "data_root", "expected"),
    [
        ("/a/data/shapes", "data/shapes", True),
        ("/a/data/shapes", "../data/shapes", True),
        ("/a/data/held_out", "data/shapes", False),
        ("/a/data/shapes", "/a/data/shapes", True),
        ("/b/data/shapes", "/a/data/shapes", False),
    ],
)
def test_a_folder_that_may_be_the_runs_data_is_distinguished_from_others(shapes, data_root, expected):
    assert may_be_trained_on(Path(shapes), data_root) is expected


def test_untrained_weights_are_recorded_as_such(state, copied, tmp_path):
    ask(state, copied, "--evaluate", "--random_init", "--seed", 3, "--json", tmp_path / "r.json")
    record = json.loads((tmp_path / "r.json").read_text())["results"][0]
    assert (record["weights"], record["checkpoint"], record["encoder_seed"]) == ("random", None, 3)


def test_a_photo_is_cut_out_only_on_demand(state, root, tmp_path, drawn):
    pixels = np.full((60, 80, 3), 190, dtype=np.uint8)
    pixels[20:50, 30:50] = (150, 40, 30)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    for flags in ((), ("--cut_background",)):
        ask(state, root, "--query", tmp_path / "photo.png", "--out", tmp_path / "o.png", *flags)
    whole, cut = (row[0].content for row in drawn)
    assert np.array_equal(whole, pixels)
    assert cut.shape[0] == cut.shape[1] < 60
    assert cut[0, 0].tolist() == [0, 0, 0]


def test_a_photo_is_rotated_as_its_exif_orientation_says(state, root, tmp_path, drawn):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    Image.new("RGB", (40, 20)).save(tmp_path / "photo.jpg", exif=exif)
    ask(state, root, "--query", tmp_path / "photo.jpg", "--out", tmp_path / "o.png")
    assert drawn[0][0].content.shape == (40, 20, 3)


def test_mistakes_are_one_message_each(state, root, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.png").write_bytes(b"\x89PNG cut short")
    (tmp_path / "notes.md").touch()
    np.save(tmp_path / "only.npy", cloud(0))
    Image.new("RGB", (40, 40)).save(tmp_path / "blank.png")
    best = state.parent / "models" / "best_model.pth"
    asked = ("--query", tmp_path / "only.npy")
    for words, expected in (
        ((best, root, *asked), "has no image branch"),
        ((tmp_path / "no.pt", root, *asked), "no checkpoint at"),
        ((state, tmp_path / "empty", *asked), f"no shapes in {tmp_path / 'empty'}"),
        ((state, tmp_path / "nowhere", *asked), "no folder of shapes at"),
        ((state, root, "--query", tmp_path / "cut.png"), "cut.png is not a readable picture"),
        ((state, root, "--query", tmp_path / "no.jpg"), "no such picture"),
        ((state, root, "--query", tmp_path / "no.ply"), "no shape at"),
        ((state, root, "--query", tmp_path / "notes.md"), "notes.md: expected a picture or a shape (.bmp"),
        ((state, root, "--query", tmp_path / "blank.png", "--cut_background"), "leave --cut_background out"),
        ((state, root), "nothing to do: pass --query FILE, --evaluate or --out PNG"),
        ((state, root, *asked, "--top", 0), "--top must be at least 1"),
        ((state, root, *asked, "--json", tmp_path / "r.json"), "--json is for the scores of --evaluate"),
        ((state, root, "--evaluate", "--json", tmp_path), "is a folder"),
        ((state, root, "--out", tmp_path), f"--out {tmp_path} is a folder"),
        (("no.pt", root, "--out", "x.xyz"), "--out x.xyz: pictures are written as PNG only; name it x.png"),
        ((state, root, *asked, "--num_points", 98), "holds 97 points, 98 are needed"),
        ((state, tmp_path, "--evaluate"), "--evaluate needs ShapeNet/ and ShapeNetRendering/"),
    ):
        assert expected in message_of(capsys, *words), words


def test_answers_replace_neither_a_query_nor_a_view_nor_a_state(state, root, tmp_path, capsys):
    query = shutil.copy(root / "ShapeNetRendering" / SHAPES[0] / "rendering" / "00.png", tmp_path / "q.png")
    view = root / "ShapeNetRendering" / SHAPES[0] / "rendering" / "01.png"
    for out in (query, view):
        assert "is an input itself" in message_of(capsys, state, root, "--query", query, "--out", out)
    assert "no report" in message_of(capsys, state, root, "--evaluate", "--json", state)


def test_an_index_of_another_checkpoint_is_refused(state, root, tmp_path, capsys):
    query = ("--query", root / "ShapeNet" / f"{SHAPES[0]}.ply", "--index", tmp_path / "i.npz")
    ask(state, root, *query)
    ask(state, root, *query)
    assert "index of 6 shapes read from" in capsys.readouterr().out
    assert "is of something else: num_copies was 8, is 2" in message_of(capsys, state, root, *query, "--num_copies", 2)
