"""The sixteen parametric families: part labels, variety, reproducibility."""

import hashlib

import numpy as np
import pytest

from data.procedural.assembly import CATEGORIES, Assembly
from data.procedural.families import FAMILIES
from data.procedural.numbered_shapes import make_shape
from data.procedural.solids import box
from datasets.labels import SHAPENET_PART

NUM_SHAPES = 20


@pytest.fixture(scope="module", params=[category.name for category in SHAPENET_PART])
def shapes(request):
    return [make_shape(0, request.param, "pretrain", index) for index in range(NUM_SHAPES)]


def test_every_shapenet_part_category_has_a_family():
    assert list(FAMILIES) == [category.name for category in SHAPENET_PART]


def test_faces_carry_labels_of_their_own_category(shapes):
    allowed = set(CATEGORIES[shapes[0].category].part_labels)
    for shape in shapes:
        assert len(shape.part_label) == len(shape.faces)
        assert set(shape.part_label) <= allowed


def test_every_part_occurs_in_a_fair_share_of_the_shapes(shapes):
    for label in CATEGORIES[shapes[0].category].part_labels:
        assert np.mean([label in shape.part_label for shape in shapes]) >= 0.25


def test_no_two_shapes_are_equal_and_they_differ_in_structure_too(shapes):
    assert len({tuple(np.round(np.ptp(shape.vertices, axis=0), 6)) for shape in shapes}) == NUM_SHAPES
    assert len({(len(shape.faces), tuple(np.bincount(shape.part_label))) for shape in shapes}) >= 4


def test_shapes_are_finite_and_fill_a_box_of_unit_diagonal(shapes):
    for shape in shapes:
        low, high = shape.vertices.min(axis=0), shape.vertices.max(axis=0)
        assert np.isfinite(shape.vertices).all()
        np.testing.assert_allclose(low + high, 0, atol=1e-9)
        assert np.linalg.norm(high - low) == pytest.approx(1)


def test_colours_vary_within_a_shape(shapes):
    assert all(len(np.unique(shape.color, axis=0)) > 3 for shape in shapes)


def digest(*identity) -> str:
    shape = make_shape(*identity)
    return hashlib.sha256(shape.vertices.tobytes() + shape.faces.tobytes() + shape.color.tobytes()).hexdigest()


@pytest.mark.parametrize("category", ["chair", "lamp"])
def test_a_shape_is_a_function_of_its_number_alone(category):
    first = digest(3, category, "train", 2)
    make_shape(3, category, "train", 7)
    assert digest(3, category, "train", 2) == first


def test_seed_split_and_index_each_change_the_shape():
    identities = [(0, "mug", "train", 0), (1, "mug", "train", 0), (0, "mug", "test", 0), (0, "mug", "train", 1)]
    assert len({digest(*identity) for identity in identities}) == 4


def test_unknown_part_name_is_refused():
    with pytest.raises(ValueError, match="tuple"):
        Assembly("mug").add("wing", box(1, 1, 1), color=(0.5, 0.5, 0.5))
