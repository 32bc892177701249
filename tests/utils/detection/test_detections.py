"""Detections: decoding, empty boxes, suppression, scores."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from datasets.detection.scene_boxes import envelopes
from models.detection.box_code import BoxCode
from models.detection.proposals import ProposedBoxes
from tests.support.random_boxes import inside_by_hand, random_boxes
from tests.support.slow_overlap import iou_by_hand
from tests.support.tiny_detection import SIZES
from utils.detection.detections import DetectionSettings, decode, detect, suppress

B, P, Y, H, N = 2, 29, 2, 4, 400
CODE = BoxCode(SIZES, H)


def proposals(seed=0):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape, scale=1.0):
        return (torch.rand(shape, generator=generator) * 2 - 1) * scale

    return ProposedBoxes(
        drawn(B, P, 3), drawn(B, P, 2, scale=3), drawn(B, P, 3), drawn(B, P, H), drawn(B, P, H), drawn(B, P, Y),
        drawn(B, P, Y, 3, scale=0.6), drawn(B, P, Y, scale=2),
    ), drawn(B, N, 4)  # fmt: skip


def box_by_hand(boxes, b, p):
    number = int(boxes.heading_scores[b, p].argmax())
    heading = (number + float(boxes.heading_rest[b, p, number]) / 2) * 2 * math.pi / H
    label = int(boxes.size_scores[b, p].argmax())
    size = [length * (1 + float(rest)) for length, rest in zip(SIZES[label], boxes.size_rest[b, p, label])]
    return boxes.centre[b, p].tolist(), size, heading, int(boxes.class_scores[b, p].argmax())


def test_the_likeliest_box_of_every_proposal_is_decoded():
    boxes, _ = proposals()
    for b, scene in enumerate(decode(boxes, CODE)):
        for p, (centre, size, heading, label) in enumerate(zip(*scene)):
            expected = box_by_hand(boxes, b, p)
            assert_allclose(centre, expected[0], rtol=1e-6)
            assert_allclose(size, expected[1], rtol=1e-5)
            assert math.remainder(heading - expected[2], 2 * math.pi) == pytest.approx(0, abs=1e-5)
            assert label == expected[3]


def suppressed_by_hand(extent, score, label, most):
    """Go through the boxes, the surest first; boxes are compared by their aligned envelopes."""

    def aligned(box):
        return (box[0] + box[1]) / 2, box[1] - box[0], 0.0, 0

    kept = []
    for i in sorted(range(len(score)), key=lambda i: -score[i]):
        rivals = [j for j in kept if label[j] == label[i]]
        if all(iou_by_hand(aligned(extent[i]), aligned(extent[j])) <= most for j in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("most", [0.05, 0.25])
def test_suppression_equals_a_loop(most):
    rng = np.random.default_rng(4)
    boxes = random_boxes(rng, 30, spread=1)
    score, extent = rng.integers(1, 6, 30) / 5, envelopes(boxes)
    kept = suppress(extent, score, boxes.label, most)
    assert kept.tolist() == suppressed_by_hand(extent, score, boxes.label, most)
    assert 3 < len(kept) < 30
    assert len(suppress(extent, score, np.zeros(30), most)) < len(kept)


@pytest.mark.parametrize("by_class", [True, False])
def test_boxes_that_are_empty_suppressed_or_unsure_are_left_out_and_others_scored_for_every_class(by_class):
    boxes, points = proposals()
    settings = DetectionSettings(nms_iou=0.1, nms_by_class=by_class, min_score=0.3, min_box_points=4)
    scenes = detect(boxes, points, CODE, settings)
    plain = detect(boxes, points, CODE, DetectionSettings(**{**vars(settings), "score_every_class": False}))
    for b, (decoded, found, single) in enumerate(zip(decode(boxes, CODE), scenes, plain)):
        objectness = boxes.objectness[b].double().softmax(dim=-1)[:, 1].numpy()
        held = [sum(inside_by_hand(q, *box[:3]) for q in points[b, :, :3].double()) for box in zip(*decoded)]
        full = [p for p in range(P) if held[p] >= 4]
        label = decoded.label[full] if by_class else np.zeros(len(full))
        kept = [full[i] for i in suppressed_by_hand(envelopes(decoded.take(full)), objectness[full], label, 0.1)]
        sure = [p for p in kept if objectness[p] > 0.3]
        assert P > len(full) > len(kept) > len(sure) > 1
        assert_allclose(single.boxes.centre, decoded.centre[sure])
        assert_allclose(single.score, objectness[sure], rtol=1e-5)
        assert single.boxes.label.tolist() == decoded.label[sure].tolist()
        probability = boxes.class_scores[b, sure].double().softmax(dim=-1).numpy()
        assert_allclose(found.score, (probability * objectness[sure][:, None]).ravel(), rtol=1e-5)
        assert_allclose(found.boxes.centre, np.repeat(decoded.centre[sure], Y, axis=0))
        assert found.boxes.label.tolist() == [0, 1] * len(sure)


def test_boxes_of_negative_size_are_left_out():
    boxes, points = proposals()
    boxes.size_rest[:, ::2] = -1.5
    (first, _) = detect(boxes, points, CODE, DetectionSettings(min_box_points=0, min_score=0))
    assert (first.boxes.size > 0).all()
    assert len(first.score)


def test_settings_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match="--nms_iou must be above 0 and at most 1, got 0"):
        DetectionSettings(nms_iou=0)
