"""Prompts and the classifier of their means."""

import json

import pytest
import torch

from models.text.prompts import OWN_TEMPLATES, PUBLISHED_SET, read_templates, zero_shot_classifier
from tests.support.toy_texts import ToyTexts


def test_our_prompts_are_64_different_ones_with_one_place_for_the_name():
    templates = read_templates()
    assert len(templates) == len(set(templates)) == 64


def test_columns_are_unit_means_of_unit_embeddings_and_underscores_are_blanks():
    texts, templates = ToyTexts(), ["one {}", "a cloud of {} points"]
    classifier = zero_shot_classifier(texts, ["mug", "night_stand"], templates)
    assert classifier.shape == (texts.dim, 2)
    assert classifier.dtype == torch.float32
    torch.testing.assert_close(classifier.norm(dim=0), torch.ones(2))
    rows = torch.stack([texts.encode([template.replace("{}", "night stand")])[0] for template in templates]).double()
    mean = rows.mean(dim=0)
    torch.testing.assert_close(classifier[:, 1], (mean / mean.norm()).float())


def test_equal_texts_have_equal_unit_rows_in_their_order_and_blank_ones_none():
    texts = ["a mug", "a very long text of a mug", "a mug"] + [f"word {number}" for number in range(70)]
    rows = ToyTexts().encode(texts)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(73))
    assert torch.equal(rows[0], rows[2])
    torch.testing.assert_close(rows[1], ToyTexts().encode([texts[1]])[0])
    for wrong in ([], ["a", " "]):
        with pytest.raises(ValueError, match="nothing to embed"):
            ToyTexts().encode(wrong)


@pytest.mark.parametrize("names", [[], ["mug", "mug"], ["mug", " "], ["night stand", "night_stand"]])
def test_class_names_must_differ(names):
    with pytest.raises(ValueError, match="class names must differ"):
        zero_shot_classifier(ToyTexts(), names, ["one {}"])


def test_ulips_file_of_several_lists_is_read_by_name(tmp_path):
    path = tmp_path / "templates.json"
    path.write_text(json.dumps({PUBLISHED_SET: ["a {}."], "scanobjectnn": ["the {}."]}))
    assert read_templates(path) == ["a {}."]
    assert read_templates(path, "scanobjectnn") == ["the {}."]
    with pytest.raises(ValueError, match=f"no list 'other'; choose one of its {PUBLISHED_SET}, scanobjectnn"):
        read_templates(path, "other")


@pytest.mark.parametrize(
    "content, message",
    [
        ("nonsense", "is no JSON text"),
        ("[]", "expected a list of prompts"),
        ('["a chair"]', "'a chair' is no prompt"),
        ('["{} {}"]', "is no prompt"),
        ('["{0} of {}"]', "is no prompt"),
        ("[3]", "3 is no prompt"),
    ],
)
def test_a_bad_file_of_prompts_is_named(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"bad.json.*{message}"):
        read_templates(path)
    with pytest.raises(FileNotFoundError, match=f"none.json.*{OWN_TEMPLATES}"):
        read_templates(tmp_path / "none.json")
