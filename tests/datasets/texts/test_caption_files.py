"""Texts of shapes: captions of files, and classes by the names of folders."""

import json

import pytest

from datasets.labels import CATEGORY_NAMES
from datasets.texts.captions import read_captions
from datasets.texts.class_texts import SHAPENET55, class_text, listed_classes


def test_captions_are_a_text_a_list_or_an_object_with_either(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"a/1": "x", "a/2": ["y", "z"], "a/3": {"captions": ["w"], "size": 3}, "b/1": 5}))
    assert read_captions(path, ["a/3", "a/1", "a/2"]) == [("w",), ("x",), ("y", "z")]


@pytest.mark.parametrize(
    "content, message",
    [
        ("nonsense", "is no JSON text"),
        ("[]", "expected an object of texts"),
        ('{"b/1": "x"}', "has no text of 1 of 1 shapes, the first a/1"),
        ('{"a/1": []}', "a/1 has .*expected a text or a list"),
        ('{"a/1": ["x", " "]}', "a/1 has .*none of them blank"),
        ('{"a/1": {"text": "x"}}', "a/1 has .*expected a text"),
    ],
)
def test_a_bad_file_of_captions_is_named(tmp_path, content, message):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(ValueError, match=rf"bad\.json.*{message}"):
        read_captions(tmp_path / "bad.json", ["a/1"])


def test_classes_are_said_in_words():
    assert [class_text(name) for name in ("03211117", "night_stand", "vessel", "mug")] == [
        *("monitor", "night stand", "ship", "mug")
    ]
    assert [class_text(name) for name in ("FloorLamp", "WheelChair_old", "TVStand", "iPhone")] == [
        *("Floor Lamp", "Wheel Chair old", "TVStand", "iPhone")
    ]
    assert len(SHAPENET55) == 55
    assert {synset: class_text(synset) for synset in CATEGORY_NAMES} == CATEGORY_NAMES
    with pytest.raises(ValueError, match="'12345678' says no class: .* --texts captions"):
        class_text("12345678")
    assert listed_classes("display, floor_lamp ,,monitor") == ["monitor", "floor lamp"]  # one class has two names
