"""scripts.eval_teacher on views whose colour tells their class."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from scripts import eval_teacher
from tests.support.entry_programs import call, error_of
from tests.support.tiny_trees import pack, write_shapenet
from tests.support.toy_teacher import toy_teacher

COLOURS = {"bowl": (200, 20, 20), "lamp": (20, 20, 200)}


def write_coloured(root, count):
    """Write shapes of two classes, all their views of the class's colour with a little noise."""
    write_shapenet(root, [f"{name}/{number}" for name in COLOURS for number in range(count)], num_views=2)
    rng = np.random.default_rng(count)
    for path in sorted(root.glob("ShapeNetRendering/*/*/rendering/*.png")):
        pixels = COLOURS[path.parts[-4]] + rng.integers(-9, 9, (16, 16, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def score(*words):
    with toy_teacher():
        call(eval_teacher, *words)


def test_a_tree_is_scored_on_another_and_on_itself(tmp_path, capsys):
    train, test = write_coloured(tmp_path / "train", 6), write_coloured(tmp_path / "test", 3)
    place = ("--train", train, "--teacher_cache", tmp_path / "cache", "--device", "cpu")
    score(*place, "--test", pack(test, tmp_path / "test.h5"), "--json", tmp_path / "scores.json")
    results = json.loads((tmp_path / "scores.json").read_text())["results"]
    assert {r["protocol"]: (r["accuracy"], r["num_test"], r["image_teacher_labels"]) for r in results} == dict.fromkeys(
        ("published", "fair", "knn"), (1.0, 6, "ImageNet")
    )
    capsys.readouterr()
    score(*place)
    lines = capsys.readouterr().out
    assert "fair_cv: 1.0000" in lines
    assert "knn_loo: 1.0000" in lines
    (test / "ShapeNet/bowl").rename(test / "ShapeNet/cup")
    (test / "ShapeNetRendering/bowl").rename(test / "ShapeNetRendering/cup")
    assert "holds classes that" in error_of(lambda: score(*place, "--test", test), capsys)


def test_shapes_that_are_alone_in_their_class_are_counted_and_refused_where_little_is_left(tmp_path, capsys):
    train = write_coloured(tmp_path / "train", 3)
    write_shapenet(train, ["mug/0"], num_views=2)
    place = ("--train", train, "--teacher_cache", tmp_path / "cache", "--device", "cpu")
    score(*place)
    lines = capsys.readouterr().out
    assert "fair_cv: 1.0000, 6 of 7 scored: the only one of a class cannot be held out\n" in lines
    assert re.search(r"knn_loo: 0\.\d{4}\n", lines)
    for number in (1, 2):
        shutil.rmtree(train / f"ShapeNetRendering/lamp/{number}")
        (train / f"ShapeNet/lamp/{number}.ply").unlink()
    message = error_of(lambda: score(*place), capsys)
    assert f"{train}: fair_cv needs at least 2 classes with 2 clouds or more, got 1, and 2 with a single" in message


@pytest.mark.parametrize(
    ("flags", "message"), [(["--image_teacher", "none"], "nothing to score"), (["--json", "a"], "on --test")]
)
def test_flags_that_leave_nothing_to_do_are_refused(flags, message, capsys):
    assert message in error_of(lambda: score("--train", "x", *flags), capsys)
