"""Captions of the built-in shapes: what they say is so, and making them changes no shape."""

import json

import numpy as np
import pytest
import trimesh

from data.procedural.assembly import CATEGORIES, LabelledMesh
from data.procedural.captions import colour_name, describe, proportions, write_captions
from data.procedural.dice import Dice
from data.procedural.numbered_shapes import make_shape

SEEN = {  # looked at in their pictures
    ("airplane", 2): "a biplane airplane with ",
    ("bag", 1): "a tall backpack bag with ",
    ("chair", 2): "a compact swivel chair with ",
    ("skateboard", 1): "a long flat popsicle skateboard with ",
}


def boxes(**parts):
    """A table of axis-aligned boxes: part -> (sides, colour)."""
    category, pieces = CATEGORIES["table"], []
    for part, (sides, colour) in parts.items():
        box = trimesh.creation.box(sides)
        label = category.first_part + category.parts.index(part)
        pieces.append((box.vertices, box.faces, label, colour))
    offsets = np.cumsum([0, *(len(vertices) for vertices, *_ in pieces)])
    return LabelledMesh(
        "table",
        np.concatenate([vertices for vertices, *_ in pieces]),
        np.concatenate([faces + offset for (_, faces, *_), offset in zip(pieces, offsets)]),
        np.concatenate([np.full(len(faces), label, np.uint8) for _, faces, label, _ in pieces]),
        np.concatenate([np.tile(np.uint8(colour), (len(vertices), 1)) for vertices, *_, colour in pieces]),
        ("coffee", "none", "legs"),
    )


def test_a_table_of_two_boxes_is_described_as_it_is():
    found = describe(boxes(top=((1.0, 0.1, 0.8), (250, 250, 250)), leg=((0.1, 0.3, 0.1), (30, 60, 220))))
    assert found["category"] == "table"
    assert found["members"] == ["coffee", "legs"]
    assert (found["proportions"], found["size"]) == ("flat", [1.0, 0.3, 0.8])
    assert found["colours"] == {"top": "white", "leg": "blue"}
    assert found["captions"] == [
        *("a table", "a coffee table", "a flat coffee table"),
        "a flat coffee table with white top, blue leg",
    ]


def test_a_part_has_the_colour_of_its_largest_area():
    mesh = boxes(top=((1, 1, 1), (200, 20, 20)), leg=((2, 2, 2), (20, 200, 20)))
    joined = mesh._replace(part_label=np.full_like(mesh.part_label, CATEGORIES["table"].first_part))
    assert describe(joined)["colours"] == {"top": "green"}


@pytest.mark.parametrize(
    "size, word",
    [((1, 2, 1), "tall"), ((1, 0.2, 0.9), "flat"), ((1, 0.2, 0.3), "long flat"), ((1, 0.5, 0.4), "long")]
    + [((1, 1, 0.9), "compact"), ((1, 0.6, 0.7), "")],
)
def test_a_box_is_named_by_its_sides(size, word):
    assert proportions(np.array(size)) == word


@pytest.mark.parametrize(
    "rgb, name",
    [((5, 5, 5), "black"), ((128, 128, 128), "grey"), ((250, 250, 250), "white"), ((220, 20, 20), "red")]
    + [((120, 80, 40), "brown"), ((240, 220, 30), "yellow"), ((30, 180, 60), "green"), ((20, 60, 230), "blue")],
)
def test_colours_have_their_names(rgb, name):
    assert colour_name(np.array(rgb)) == name


@pytest.mark.parametrize("category, index", SEEN)
def test_built_in_shapes_are_described_as_they_look(category, index):
    caption = describe(make_shape(0, category, "pretrain", index))["captions"][-1]
    assert caption.startswith(SEEN[category, index])


def test_a_caption_begins_with_the_article_of_its_next_word():
    captions = describe(make_shape(0, "airplane", "pretrain", 0))["captions"]
    assert captions[0] == "an airplane"
    assert all(text.startswith("an " if text.split()[1][0] in "aeiou" else "a ") for text in captions)


def test_words_are_remembered_without_another_draw():
    plain, dice = np.random.default_rng(3), Dice(np.random.default_rng(3))
    picked = [dice.pick(("a", "b", "c")) for _ in range(5)] + [dice.pick((1.0, 2.0))]
    drawn = [("a", "b", "c")[int(plain.choice(3))] for _ in range(5)] + [(1.0, 2.0)[int(plain.choice(2))]]
    assert picked == drawn
    assert dice.words == picked[:5]


def test_the_file_holds_a_line_a_shape_in_sorted_order(tmp_path):
    write_captions(tmp_path, {"02/b": {"captions": ["b"]}, "02/a": {"captions": ["a"]}})
    text = (tmp_path / "captions.json").read_text()
    assert text.splitlines()[1].startswith('"02/a"')
    assert json.loads(text) == {"02/a": {"captions": ["a"]}, "02/b": {"captions": ["b"]}}
