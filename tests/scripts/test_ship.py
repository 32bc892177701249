"""A finished run becomes weights, card, log and table; nothing that has seen a label does."""

import json

import numpy as np
import pytest

from models.weights import shipped
from scripts import ship
from tests.support.entry_programs import call, error_of
from tests.support.shipped_weights import check_shipped, write_finished_run
from tests.support.tiny_trees import write_ply
from utils.pretrained import load
from utils.results import shipping
from utils.run.provenance import file_sha256

POINTS = np.random.default_rng(0).random((2, 31, 3))
README = "above\n<!-- weights: begin -->\n<!-- weights: end -->\n"
COMMON = {"dataset": "modelnet40", "split": "test", "num_points": 61, "normalize": True, "model": "pointnet", "k": None}
RANDOM = {"weights": "random", "checkpoint": None, "checkpoint_sha256": None}


def report(path, weights, accuracies):
    """Write what scripts.eval_svm would: the fair SVM's and the nearest neighbour's accuracy."""
    tasks = (("linear_svm", "fair"), ("nearest_neighbour", "cosine"))
    records = [
        {**COMMON, **weights, "task": task, "protocol": name, "accuracy": value, "mean_class_accuracy": 0.0, "seed": 0}
        for (task, name), value in zip(tasks, accuracies)
    ]
    path.write_text(json.dumps({"machine": "m", "commit": "c", "command": "x", "results": records}))
    return path


@pytest.fixture
def words(tmp_path):
    """The words of a call that ships a run, and everything it reads."""
    run = write_finished_run(tmp_path / "run")
    weights = run / "models" / "ckpt_epoch_last.pth"
    for name in ("a/1", "a/2", "b/1"):
        write_ply(tmp_path / "tree" / "ShapeNet" / f"{name}.ply", POINTS[0])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(README)
    own = {"weights": "checkpoint", "checkpoint": str(weights), "checkpoint_sha256": file_sha256(weights)}
    reports = [
        report(tmp_path / "random1.json", RANDOM, (0.5, 0.2)),
        report(tmp_path / "random2.json", RANDOM, (0.6, 0.4)),
        report(tmp_path / "own.json", own, (0.75, 0.5)),
    ]
    tree = ("--tree", tmp_path / "tree", "chairs", "CC0-1.0")
    return [run, "--name", "tiny-open", "--out", tmp_path / "out", *tree, "--scores", "real shapes", *reports]


def test_a_run_ships_with_its_card_and_stands_in_the_table(words, tmp_path, monkeypatch, capsys):
    call(ship, *words, "--command", "bash all.sh")
    out = tmp_path / "out"
    card = json.loads((out / "tiny-open.json").read_text())
    assert card["sources"] == [{"name": "chairs", "licence": "CC0-1.0", "shapes": 3}]
    svm, neighbour = card["figures"]
    assert (svm["random"], svm["shipped"], neighbour["random"], neighbour["shipped"]) == (0.55, 0.75, 0.3, 0.5)
    assert "CC0-1.0" in card["licence"]
    assert (card["command"], card["train_commands"]) == ("bash all.sh", ["train_crosspoint.py --seed 3"])
    card["run"] = {"settings": {"seed": 3}}  # in real weights
    (out / "tiny-open.json").write_text(json.dumps(card))
    check_shipped(out, "tiny-open")
    (out / "tiny-open.json").write_text(json.dumps(card | {"example": [-value for value in card["example"]]}))
    with pytest.raises(AssertionError, match="the feature of the example cloud differs"):
        check_shipped(out, "tiny-open")
    table = (out / "README.md").read_text()
    assert "| `tiny-open` | real shapes (61 points, normalised) | linear SVM, fair" in table
    assert "| 55.0 | 75.0 | +20.0 |" in table
    assert "3 chairs (CC0-1.0)" in table
    monkeypatch.setattr(shipped, "SHIPPED", out)
    before = load(tmp_path / "run" / "models" / "ckpt_epoch_last.pth", device="cpu")(POINTS)
    assert np.array_equal(load("tiny-open", device="cpu")(POINTS), before)
    assert "inv_head" not in (out / "tiny-open.safetensors").read_bytes()[:20000].decode(errors="replace")
    assert "tiny-open.json exists" in error_of(lambda: call(ship, *words), capsys)


@pytest.mark.parametrize(
    "flags, expected",
    [
        ({"image_teacher_labels": "ImageNet"}, "labels have entered .*run, those of its image teacher, ImageNet"),
        ({"image_weights": "imagenet"}, "those of its --image_weights"),
        ({"model_path": "a.pth"}, "began with the weights a.pth"),
    ],
)
def test_weights_of_other_origin_do_not_ship(flags, expected, words, tmp_path, capsys):
    write_finished_run(tmp_path / "run", **flags)
    with pytest.raises(ValueError, match=expected):
        call(ship, *words)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["README.md"]


def test_what_is_no_fair_comparison_is_refused(words, tmp_path):
    with pytest.raises(ValueError, match="give those of random and of these weights"):
        call(ship, *words[:-3], words[-1], words[-1])
    report(words[-1], {"weights": "checkpoint", "checkpoint": "old.pth", "checkpoint_sha256": "0"}, (0.9, 0.9))
    with pytest.raises(ValueError, match="on real shapes are of other weights: old.pth"):
        call(ship, *words)


def test_the_file_asks_for_the_neighbours_that_were_scored(words, tmp_path):
    write_finished_run(tmp_path / "run", "dgcnn")
    weights = tmp_path / "run" / "models" / "ckpt_epoch_last.pth"
    own = {"weights": "checkpoint", "checkpoint": str(weights), "checkpoint_sha256": file_sha256(weights)}
    dgcnn = {"model": "dgcnn", "k": 11}
    reports = [report(tmp_path / f"{i}.json", side | dgcnn, (0.5, 0.2)) for i, side in enumerate((RANDOM, own))]
    with pytest.raises(ValueError, match="with k 11, the weights ship with k 7"):
        call(ship, *words[:-3], *reports)
    call(ship, *words[:-3], *reports, "--k", 11)
    assert load(tmp_path / "out" / "tiny-open.safetensors").module.k == 11
    assert json.loads((tmp_path / "out" / "tiny-open.json").read_text())["k"] == 11


def test_shapes_need_a_licence_and_weights_must_be_small(words, tmp_path, monkeypatch):
    place = words.index("CC0-1.0")
    with pytest.raises(ValueError, match="under which licence"):
        call(ship, *words[:place], " ", *words[place + 1 :])
    monkeypatch.setattr(shipping, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000"):
        call(ship, *words)
