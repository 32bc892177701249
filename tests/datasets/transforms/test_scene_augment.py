"""Augmented scenes: boxes hold the points they held, votes reach their centres, draws keep their bounds."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from datasets.detection.scene_boxes import SceneBoxes, box_corners, envelopes, points_inside
from datasets.detection.votes import votes_of_boxes
from datasets.transforms.scene_augment import ALIGNED_AUGMENT, ORIENTED_AUGMENT, SceneAugment
from tests.datasets.transforms.uniform import assert_uniform
from tests.support.random_boxes import random_boxes

CASES = pytest.mark.parametrize("augment", [ALIGNED_AUGMENT, ORIENTED_AUGMENT], ids=["aligned", "oriented"])


def scene(augment):
    rng = np.random.default_rng(3)
    boxes = random_boxes(rng, 6, is_aligned=augment.is_aligned)
    points = rng.uniform(-3, 3, (500, 3)).astype(np.float32)
    return points, boxes, votes_of_boxes(points, boxes)


@CASES
@pytest.mark.parametrize("seed", range(4))
def test_votes_still_reach_the_centres_of_their_boxes(augment, seed):
    points, boxes, votes = scene(augment)
    moved, after, turned = augment(points, boxes, votes, np.random.default_rng(seed))
    goals = (points[:, None] + votes.offset)[votes.is_voting]  # (M, 3, 3), each the centre of a box
    number = np.abs(goals[..., None, :] - boxes.centre).sum(axis=-1).argmin(axis=-1)
    assert_allclose((moved[:, None] + turned.offset)[votes.is_voting], after.centre[number], atol=1e-5)
    assert len(np.unique(number)) > 3


@pytest.mark.parametrize("seed", range(6))
def test_a_turned_box_holds_exactly_the_points_it_held(seed):
    points, boxes, votes = scene(ORIENTED_AUGMENT)
    moved, after, _ = SceneAugment("xy", 30, is_aligned=False)(points, boxes, votes, np.random.default_rng(seed))
    assert np.array_equal(points_inside(moved, after), points_inside(points, boxes))


@pytest.mark.parametrize("seed", range(4))
def test_an_aligned_box_is_the_smallest_around_its_moved_corners(seed):
    points, boxes, votes = scene(ALIGNED_AUGMENT)
    moved, after, _ = ALIGNED_AUGMENT(points, boxes, votes, np.random.default_rng(seed))
    corners = ALIGNED_AUGMENT(box_corners(boxes), boxes, votes, np.random.default_rng(seed))[0]
    assert_allclose(envelopes(after), np.stack([corners.min(axis=1), corners.max(axis=1)], axis=1), atol=1e-5)
    assert not (points_inside(points, boxes) & ~points_inside(moved, after)).any()
    assert not after.heading.any()


def test_a_scene_is_not_changed_in_place_and_one_generator_gives_one_scene():
    before = scene(ORIENTED_AUGMENT)
    first, second = (ORIENTED_AUGMENT(*before, np.random.default_rng(5)) for _ in range(2))
    for ours, again in zip(before, scene(ORIENTED_AUGMENT)):
        assert all(np.array_equal(a, b) for a, b in zip(ours, again))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], before[0])


def test_draws_are_uniform_within_their_bounds_and_mirror_half_of_the_scenes():
    augment = SceneAugment("y", 30.0, 0.9, 1.1)
    drawn = [augment.draw(np.random.default_rng(seed)) for seed in range(2000)]
    factor = np.array([each.factor for each in drawn])
    first = np.array([each.matrix[:2, 0] for each in drawn]) / factor[:, None]  # where +x goes; y alone is mirrored
    assert_uniform(factor, 0.9, 1.1)
    assert_uniform(np.degrees(np.arctan2(first[:, 1], first[:, 0])), -30, 30)
    mirrored = np.array([np.linalg.det(each.matrix) < 0 for each in drawn])
    assert abs(mirrored.mean() - 0.5) < 4 * math.sqrt(0.25 / 2000)
    assert_allclose([each.matrix[2, 2] for each in drawn], factor)


@pytest.mark.parametrize("wrong", [{"flips": "xz"}, {"max_angle": -1}, {"low": 0}, {"low": 2}, {"high": math.inf}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        SceneAugment(**wrong)


def test_a_mirrored_box_has_its_heading_mirrored():
    box = SceneBoxes(np.zeros((1, 3)), np.ones((1, 3)), np.array([0.3]), np.array([0]))
    seen = set()
    for seed in range(40):
        after = SceneAugment("xy", 0, 1, 1, False)(
            np.zeros((1, 3)), box, votes_of_boxes(np.zeros((1, 3)), box), np.random.default_rng(seed)
        )[1]
        seen.add(round(float(after.heading[0]) % (2 * math.pi), 4))
    expected = {0.3, math.pi - 0.3, -0.3 % (2 * math.pi), math.pi + 0.3}  # neither, x, y, both
    assert seen == {round(value, 4) for value in expected}
