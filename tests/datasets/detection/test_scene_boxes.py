"""Boxes of a scene: corners, points inside, votes and mean sizes."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from datasets.detection.detection_sets import SCANNET, SUN_RGBD, mean_sizes
from datasets.detection.scene_boxes import SceneBoxes, box_corners, envelopes, points_inside
from datasets.detection.votes import votes_of_boxes, votes_of_instances
from tests.support.random_boxes import inside_by_hand, random_boxes


def test_a_heading_turns_the_first_axis_from_x_towards_minus_y():
    box = SceneBoxes(np.zeros((1, 3)), np.array([[4.0, 2, 1]]), np.array([math.pi / 6]), np.array([0]))
    middle = box_corners(box)[0, [0, 3]].mean(axis=0)  # of the side that the first axis points to
    assert_allclose(middle, [2 * math.cos(math.pi / 6), -2 * math.sin(math.pi / 6), -0.5], atol=1e-12)


def test_corners_are_as_far_apart_as_the_size_says_and_go_around_the_box():
    boxes = random_boxes(np.random.default_rng(0), 7)
    corners = box_corners(boxes)
    assert_allclose(corners.mean(axis=1), boxes.centre, atol=1e-6)
    for low in (0, 4):
        around = np.linalg.norm(np.diff(corners[:, [low, low + 1, low + 2, low + 3, low]], axis=1), axis=2)
        assert_allclose(around, boxes.size[:, [0, 1, 0, 1]], rtol=1e-5)
    assert_allclose(corners[:, 4:] - corners[:, :4], boxes.size[:, None, 2:] * [0, 0, 1] * np.ones((4, 1)), rtol=1e-5)
    assert_allclose(envelopes(boxes)[:, 1, 0], corners[..., 0].max(axis=1))


def test_points_inside_equal_a_loop():
    rng = np.random.default_rng(1)
    boxes, points = random_boxes(rng, 5), rng.uniform(-2, 2, (211, 3)).astype(np.float32)
    expected = [[inside_by_hand(point, *box[:3]) for point in points] for box in zip(*boxes)]
    assert 20 < np.sum(expected) < 500
    assert np.array_equal(points_inside(points, boxes), expected)


def test_a_point_votes_for_the_first_two_boxes_it_is_in_and_the_last():
    rng = np.random.default_rng(2)
    boxes, points = random_boxes(rng, 9, spread=0.8), rng.uniform(-2, 2, (97, 3)).astype(np.float32)
    votes = votes_of_boxes(points, boxes)
    counts = set()
    for point, offset, is_voting in zip(points, *votes):
        own = [box[0] for box in zip(*boxes) if inside_by_hand(point, *box[:3])]
        counts.add(min(len(own), 4))
        assert is_voting == bool(own)
        goals = [own[0], own[min(1, len(own) - 1)], own[-1] if len(own) > 2 else own[0]] if own else [point] * 3
        assert_allclose(offset, np.array(goals) - point, atol=1e-6)
    assert counts == {0, 1, 2, 3, 4}


def test_without_boxes_no_point_votes():
    votes = votes_of_boxes(np.zeros((5, 3), np.float32), random_boxes(np.random.default_rng(0), 0))
    assert votes.offset.shape == (5, 3, 3)
    assert not votes.is_voting.any()
    assert not votes.offset.any()


def test_an_instance_votes_for_the_middle_of_its_bounding_box():
    points = np.array([[0, 0, 0], [4, 0, 2], [1, 1, 1], [9, 9, 9]], np.float32)
    votes = votes_of_instances(points, np.array([5, 5, 5, -1]))
    assert_allclose(points[:3, None] + votes.offset[:3], np.broadcast_to([2, 0.5, 1], (3, 3, 3)))
    assert votes.is_voting.tolist() == [True, True, True, False]
    assert not votes.offset[3].any()


def test_mean_sizes_are_those_of_each_class_and_a_class_without_boxes_is_refused():
    scenes = [random_boxes(np.random.default_rng(seed), 11) for seed in range(2)]
    sizes = [size for boxes in scenes for size, label in zip(boxes.size, boxes.label) if label == 1]
    assert_allclose(mean_sizes(scenes, 3)[1], np.mean(sizes, axis=0), rtol=1e-6)
    with pytest.raises(ValueError, match=r"no training box of 1 of 4 classes \(first: 3\)"):
        mean_sizes(scenes, 4)


@pytest.mark.parametrize("name, number, headings", [(SCANNET, 18, 1), (SUN_RGBD, 10, 12)])
def test_published_sets_have_their_number_of_classes(name, number, headings):
    assert len(set(name.classes)) == len(name.mean_sizes) == number
    assert name.num_headings == headings
