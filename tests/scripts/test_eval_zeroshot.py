"""`python -m scripts.eval_zeroshot` on tiny sets: what it scores, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from data import merge
from models.methods.text_alignment import load_towers
from models.text.prompts import read_templates, zero_shot_classifier
from scripts import eval_zeroshot, train_crossmost
from tests.support.alignment_runs import SHAPES, align, toy_texts, write_captioned
from tests.support.entry_programs import call
from tests.support.program_calls import message_of, run
from tests.support.tiny_trees import cloud, write_modelnet40, write_shapenet
from tests.support.toy_texts import ToyTexts
from utils.results.result_records import read_report
from utils.texts.zero_shot import zero_shot_logits, zero_shot_score
from utils.texts.zero_shot_sets import ZeroShotSet, ZeroShotSetSettings, open_zero_shot_set

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_captioned(tmp_path_factory.mktemp("tree"))
    write_modelnet40(root)
    return root


@pytest.fixture(scope="module")
def towers(root, tmp_path_factory, light_training):
    return align(root, tmp_path_factory.mktemp("run")) / "models/towers_best.pth"


def words(towers, root, *more):
    return ("--towers", towers, "--data_root", root, "--num_points", 48, "--device", "cpu", *more)


def evaluate(towers, root, out, *more):
    with toy_texts():
        run(eval_zeroshot, *words(towers, root, "--json", out, *more))
    return {record["protocol"]: record for record in json.loads(out.read_text())["results"]}


def test_images_that_no_training_has_seen_are_neither_scored_nor_learned_from(root, tmp_path):
    towers = align(root, tmp_path, "--image_weight", "0", "--image_text_weight", "0") / "models/towers_best.pth"
    assert evaluate(towers, root, tmp_path / "r.json", "--dataset", "shapes").keys() == {"points"}
    flags = ("--classes", "a,b", "--exp_name", "self", "--output_dir", tmp_path, "--batch_size", 2)
    with toy_texts(), pytest.raises(ValueError, match="--labels joint needs images.*pass --labels points"):
        run(train_crossmost, *words(towers, root, *flags))


def test_shapes_of_merged_trees_have_the_classes_of_their_own_trees(root, tmp_path):
    write_shapenet(tmp_path / "mine", ["mug/1", "FloorLamp/1"], num_views=1)
    call(merge, root, tmp_path / "mine", "--out", tmp_path / "both")
    call(merge, tmp_path / "both", "--out", tmp_path / "again")  # a tree of links to links
    for folder in ("both", "again"):
        shapes = open_zero_shot_set(ZeroShotSetSettings(dataset="shapes", data_root=str(tmp_path / folder)))
        assert shapes.class_names == ["Floor Lamp", "airplane", "mug", "table"]
        assert np.bincount(shapes.labels).tolist() == [1, 3, 4, 3]
    (tmp_path / "both" / "merge.json").write_text("{}")
    with pytest.raises(ValueError, match=r"merge\.json is damaged"):
        open_zero_shot_set(ZeroShotSetSettings(dataset="shapes", data_root=str(tmp_path / "both")))
    (tmp_path / "both" / "merge.json").unlink()  # as earlier versions left it
    shapes = open_zero_shot_set(ZeroShotSetSettings(dataset="shapes", data_root=str(tmp_path / "both")))
    assert "mine mug" in shapes.class_names


def test_shapes_with_views_are_scored_four_times_and_drawn(towers, root, tmp_path, capsys):
    found = evaluate(towers, root, tmp_path / "r.json", "--dataset", "shapes", "--confusion", tmp_path / "c")
    assert found.keys() == {"points", "image", "views", "both"}
    assert capsys.readouterr().out.count("result task=zero_shot") == 4
    for protocol, record in found.items():
        counts = np.array(record["confusion"])
        assert counts.sum(axis=1).tolist() == [3, 3, 3]
        assert record["accuracy"] == pytest.approx(counts.trace() / 9)
        assert "top5_accuracy" not in record  # of three classes
        with Image.open(tmp_path / "c" / f"{protocol}.png") as picture:
            assert min(picture.size) > 100
    assert {row["task"] for row in read_report(tmp_path / "r.json")} == {"zero_shot"}


def test_logits_are_those_of_the_towers_and_the_mean_over_views(towers, root):
    own, settings = load_towers(towers), ZeroShotSetSettings(dataset="shapes", data_root=str(root), num_points=48)
    shapes = open_zero_shot_set(settings)
    assert shapes.class_names == ["airplane", "mug", "table"]
    assert shapes.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    classifier = zero_shot_classifier(ToyTexts(), shapes.class_names, read_templates())
    found = zero_shot_logits(own, shapes, classifier, batch_size=4, seed=0)
    with torch.inference_mode():
        views = torch.stack([shapes.view(index, view, 16) for index in range(len(SHAPES)) for view in range(2)])
        points = own.embed_points(torch.stack([shapes.cloud(index) for index in range(len(SHAPES))])) @ classifier
        views = (own.embed_images(views) @ classifier).unflatten(0, (-1, 2))
    scale = own.logit_scale.exp().item()
    expected = {"points": scale * points, "views": scale * views.mean(dim=1)}
    expected["both"] = torch.stack([rows.softmax(dim=1) for rows in expected.values()]).mean(dim=0).log()
    for protocol, rows in expected.items():
        np.testing.assert_allclose(found[protocol], rows.numpy(), atol=1e-4)
    distance = np.abs(found["image"][:, None] - scale * views.numpy()).max(axis=2)
    assert (distance.min(axis=1) < 1e-4).all()
    assert len(set(distance.argmin(axis=1))) == 2  # not the same view of every shape


def test_a_labelled_set_has_points_alone_and_may_have_more_classes(towers, root, tmp_path):
    plain = evaluate(towers, root, tmp_path / "a.json")
    assert plain.keys() == {"points"}
    assert plain["points"]["class_names"] == ["cone", "cube", "ball"]
    assert plain["points"]["chance"] == pytest.approx(1 / 3)
    more = evaluate(towers, root, tmp_path / "b.json", "--classes", "tree,ball,cube, cone")
    assert more["points"]["class_names"] == ["tree", "ball", "cube", "cone"]
    per_class = more["points"]["per_class"]
    assert {name: row["num_shapes"] for name, row in per_class.items()} == {"ball": 1, "cube": 1, "cone": 1}
    other = evaluate(towers, root, tmp_path / "c.json", "--random_init")
    assert (other["points"]["weights"], plain["points"]["weights"]) == ("random", "checkpoint")


def test_a_folder_of_meshes_and_clouds_by_class_is_read(towers, tmp_path):
    for name in ("display", "floor_lamp", "monitor", "mug"):
        (tmp_path / "s" / name).mkdir(parents=True)
        np.save(tmp_path / "s" / name / "x.npy", cloud(3, 60))
    found = evaluate(towers, tmp_path / "s", tmp_path / "r.json", "--dataset", "shapes")
    assert found["points"]["class_names"] == ["monitor", "floor lamp", "mug"]
    assert [sum(row) for row in found["points"]["confusion"]] == [2, 1, 1]
    assert found.keys() == {"points"}


class FakeSet(ZeroShotSet):
    def __init__(self):
        self.class_names, self.labels = list("abcdefg"), np.array([0, 0, 1, 6])

    def cloud(self, index):
        raise NotImplementedError

    def view(self, index, view, size):
        raise NotImplementedError


def test_figures_by_hand():
    logits = np.array([[9, 1, 0, 0, 0, 0, 0], [1, 9, 0, 0, 0, 0, 0], [0, 9, 0, 0, 0, 0, 0], [6, 5, 4, 3, 2, 1, 0.0]])
    record, predicted = zero_shot_score(logits, FakeSet(), "points")
    assert predicted.tolist() == [0, 1, 1, 0]
    assert record["accuracy"] == 0.5
    assert record["top5_accuracy"] == 0.75
    assert record["mean_class_accuracy"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert record["per_class"]["a"] == {"accuracy": 0.5, "num_shapes": 2}
    assert np.array(record["confusion"])[0].tolist() == [1, 1, 0, 0, 0, 0, 0]


def test_bad_input_is_refused_by_name(towers, root, tmp_path, capsys):
    with toy_texts():
        assert "lacks cone" in message_of(capsys, eval_zeroshot, *words(towers, root, "--classes", "ball,cube"))
        loose = shutil.copytree(root / "ShapeNet/02691156", tmp_path / "loose")
        message = message_of(capsys, eval_zeroshot, *words(towers, loose, "--dataset", "shapes"))
        assert "3 shapes are in no folder of a class, the first 0.ply" in message
        (tmp_path / "bad.json").write_text("[1]")
        message = message_of(capsys, eval_zeroshot, *words(towers, root, "--templates", tmp_path / "bad.json"))
        assert "bad.json: 1 is no prompt" in message
        point = towers.parent / "best_model.pth"
        assert "holds no aligned towers" in message_of(capsys, eval_zeroshot, *words(point, root))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ToyTexts, "describe", lambda self: {"text": "toy", "text_sha256": "1" * 64})
            message = message_of(capsys, eval_zeroshot, *words(towers, root))
            assert "the towers were aligned with other weights of toy: sha256 000000000000" in message
    message = message_of(capsys, eval_zeroshot, *words(towers, root, "--dataset", "shapes", "--variant", "obj_bg"))
    assert "--variant obj_bg belongs to --dataset scanobjectnn" in message
    message = message_of(capsys, eval_zeroshot, *words(towers, root, "--dataset", "shapes", "--split", "train"))
    assert "--split train: a folder of shapes has no splits" in message
