"""Overlap of boxes against a polygon clipped edge by edge, and against known cases."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from datasets.detection.scene_boxes import SceneBoxes, box_corners, envelopes
from tests.support.random_boxes import random_boxes
from tests.support.slow_overlap import iou_by_hand
from utils.detection.box_overlap import aligned_iou, turned_iou


def box(centre, size, heading):
    return SceneBoxes(np.array([centre], float), np.array([size], float), np.array([heading], float), np.array([0]))


def test_turned_boxes_overlap_as_clipped_polygons_do():
    first, second = (random_boxes(np.random.default_rng(seed), count, spread=1.2) for seed, count in ((0, 13), (1, 11)))
    expected = [[iou_by_hand(a, b) for b in zip(*second)] for a in zip(*first)]
    assert (np.array(expected) > 0.05).sum() > 20
    assert_allclose(turned_iou(first, second), expected, atol=1e-12)


def test_aligned_boxes_overlap_alike_by_either_function_and_by_hand():
    first, second = (random_boxes(np.random.default_rng(seed), 9, is_aligned=True, spread=1) for seed in (2, 3))
    by_corners = aligned_iou(envelopes(first), envelopes(second))
    assert (by_corners > 0).sum() > 10
    assert_allclose(by_corners, turned_iou(first, second), atol=1e-6)
    assert_allclose(by_corners, [[iou_by_hand(a, b) for b in zip(*second)] for a in zip(*first)], atol=1e-6)


@pytest.mark.parametrize("heading", [0, 0.3, math.pi / 2, 3])
def test_a_box_overlaps_itself_wholly_and_one_turned_by_half_a_turn_too(heading):
    one = box((1, 2, 3), (1, 2, 3), heading)
    assert_allclose(turned_iou(one, one), [[1]], rtol=1e-12)
    assert_allclose(turned_iou(one, box((1, 2, 3), (1, 2, 3), heading + math.pi)), [[1]], rtol=1e-9)
    assert_allclose(turned_iou(one, box((1, 2, 3), (2, 1, 3), heading + math.pi / 2)), [[1]], rtol=1e-9)


def test_a_square_turned_by_an_eighth_shares_an_octagon():
    octagon = 2 * (math.sqrt(2) - 1)
    iou = turned_iou(box((0, 0, 0), (1, 1, 1), 0), box((0, 0, 0), (1, 1, 1), math.pi / 4))
    assert_allclose(iou, [[octagon / (2 - octagon)]], rtol=1e-12)


def test_boxes_apart_or_touching_or_without_volume_do_not_overlap():
    one = box((0, 0, 0), (1, 1, 1), 0)
    others = [box((1, 0, 0), (1, 1, 1), 0), box((0, 0, 1), (1, 1, 1), 0.2), box((5, 0, 0), (1, 1, 1), 1)]
    others += [box((0, 0, 0), (-1, 1, 1), 0), box((0, 0, 0), (0, 0, 0), 0)]
    assert [turned_iou(one, other).item() for other in others] == [0, 0, 0, 0, 0]
    assert turned_iou(one.take(np.zeros(0, int)), one).shape == (0, 1)
    assert box_corners(one.take(np.zeros(0, int))).shape == (0, 8, 3)
