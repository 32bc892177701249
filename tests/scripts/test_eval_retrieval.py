"""`python -m scripts.eval_retrieval` with the state of an untrained run."""

import json
import shutil

import pytest
from PIL import Image

from scripts import eval_retrieval
from tests.support.program_calls import message_of, run
from tests.support.tiny_runs import write_state
from tests.support.tiny_trees import pack, write_shapenet

pytestmark = pytest.mark.usefixtures("light_training")
SHAPES = [f"{synset}/{number}" for synset in ("02691156", "03001627") for number in range(3)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_shapenet(tmp_path_factory.mktemp("tree"), SHAPES, num_views=2, size=24)


def flags(run_dir, root):
    return ("--run", run_dir, "--data_root", root, "--num_copies", 0, "--device", "cpu")


def test_shapes_that_the_training_read_are_left_out_and_each_kind_has_a_record_and_is_shown(
    root, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(eval_retrieval, "NUM_SHOWN", 1)
    monkeypatch.setattr(eval_retrieval, "TOP", 2)
    other = shutil.copytree(root, tmp_path / "other")
    shutil.rmtree(other / "ShapeNet" / "03001627")
    clouds = other / "ShapeNet" / "02691156"
    shutil.copy(clouds / "1.ply", clouds / "0.ply")  # the same name, another cloud: not seen
    packed = pack(other, tmp_path / "all.h5")
    write_state(tmp_path / "run" / "last.pt", data_root="gone", packed=str(packed), background="random")
    run(eval_retrieval, *flags(tmp_path / "run", root), "--json", tmp_path / "r.json", "--picture", tmp_path / "p.png")
    printed = capsys.readouterr().out
    assert "4 shapes, 4 queries of each kind, 2 of 6 left out as trained on" in printed
    records = json.loads((tmp_path / "r.json").read_text())["results"]
    assert [record["protocol"] for record in records] == ["plain_picture", "cut_picture", "furnished_picture"]
    for record in records:
        assert (record["task"], record["background"], record["num_trained_on"]) == ("retrieval", "random", 2)
        assert (record["num_queries"], record["num_gallery"], record["num_classes"]) == (4, 4, 2)
        assert record["chance_precision"] == pytest.approx((3 * 3 + 1) / 16)
        assert f"precision_10={record['precision_10']:.4f}" in printed
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.height > picture.width


def test_a_run_whose_data_are_gone_is_warned_of_and_one_that_saw_everything_is_refused(root, tmp_path, capsys):
    write_state(tmp_path / "gone" / "last.pt", data_root=str(tmp_path / "nowhere"))
    run(eval_retrieval, *flags(tmp_path / "gone", root), "--num_shapes", 3, "--views", 2)
    captured = capsys.readouterr()
    assert f"warning: the data of the training, {tmp_path / 'nowhere'}, cannot be read" in captured.err
    assert "3 shapes, 6 queries of each kind\n" in captured.out
    write_state(tmp_path / "all" / "last.pt", data_root=str(root))
    asked = flags(tmp_path / "all", root)
    assert "was trained on 6 of the 6 shapes" in message_of(capsys, eval_retrieval, *asked)
    assert "--views must be at least 1" in message_of(capsys, eval_retrieval, *asked, "--views", 0)
    assert "--num_shapes must be at least 2" in message_of(capsys, eval_retrieval, *asked, "--num_shapes", 1)
    view = next((root / "ShapeNetRendering").rglob("*.png"))
    assert "is an input itself" in message_of(capsys, eval_retrieval, *asked, "--picture", view)
