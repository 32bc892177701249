"""Average precision and recall against plain loops, on random sets with all that makes it hard."""

import math

import numpy as np
import pytest

from datasets.detection.scene_boxes import SceneBoxes
from tests.support.random_boxes import random_boxes
from tests.support.slow_overlap import iou_by_hand
from utils.detection.average_precision import average_precision, match, score_detections
from utils.detection.detections import Detections

CLASSES = 5  # 3 occurs in detections alone, 4 nowhere


def random_set(seed, is_aligned=False):
    """Draw scenes and detections: moved copies of true boxes, several of one, others, many scores alike."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for number in (4, 0, 6, 3, 1):
        true = random_boxes(rng, number, num_classes=3, is_aligned=is_aligned, spread=1.5)
        copies = true.take(rng.integers(0, number, 3 * number)) if number else true
        shift = rng.normal(0, 0.12, copies.centre.shape)
        label = np.where(rng.random(len(copies.label)) < 0.8, copies.label, rng.integers(0, 4, len(copies.label)))
        copies = copies._replace(centre=copies.centre + shift, label=label)
        others = random_boxes(rng, 4, num_classes=4, is_aligned=is_aligned)
        boxes = SceneBoxes(*(np.concatenate(parts) for parts in zip(copies, others)))
        found.append(Detections(boxes, rng.integers(1, 9, len(boxes.label)) / 10))
        truth.append(true)
    return found, truth


def by_hand(found, truth, threshold):
    """Return {class: (average precision, recall)} of the classes with a true box."""
    scores = {}
    for label in range(CLASSES):
        total = sum(int(other) == label for boxes in truth for other in boxes.label)
        if not total:
            continue
        detections = []
        for scene, (boxes, score) in enumerate(found):
            detections += [(float(s), scene, b) for s, b in zip(score, zip(*boxes)) if int(b[3]) == label]
        detections.sort(key=lambda entry: -entry[0])  # stable
        taken, right, points = set(), 0, [(0.0, 1.0)]
        for rank, (_, scene, box) in enumerate(detections, 1):
            best, place = -math.inf, None
            for i, true in enumerate(zip(*truth[scene])):
                if int(true[3]) == label and iou_by_hand(box, true) > best:
                    best, place = iou_by_hand(box, true), i
            if best > threshold and (scene, place) not in taken:
                taken.add((scene, place))
                right += 1
            points.append((right / total, right / rank))
        area = 0.0
        for i in range(1, len(points)):
            area += (points[i][0] - points[i - 1][0]) * max(precision for _, precision in points[i:])
        scores[label] = (area, right / total)
    return scores


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("is_aligned", [False, True])
def test_precision_and_recall_equal_loops(seed, is_aligned):
    found, truth = random_set(seed, is_aligned)
    matches = match(found, truth, CLASSES)
    for threshold in (0.25, 0.5):
        expected, score = by_hand(found, truth, threshold), score_detections(matches, threshold)
        assert score.precision == pytest.approx({label: area for label, (area, _) in expected.items()}, rel=1e-12)
        assert score.recall == pytest.approx({label: recall for label, (_, recall) in expected.items()}, rel=1e-12)
        assert score.mean_precision == pytest.approx(np.mean([area for area, _ in expected.values()]))
        assert score.mean_recall == pytest.approx(np.mean([recall for _, recall in expected.values()]))
        assert 0.05 < score.mean_precision < 0.95


def test_precision_is_the_largest_at_this_recall_or_a_higher_one():
    recall, precision = np.array([1, 1, 2, 2, 3]) / 4, np.array([1, 1 / 2, 2 / 3, 1 / 2, 3 / 5])
    assert average_precision(recall, precision) == pytest.approx(1 / 4 * (1 + 2 / 3 + 3 / 5))
    assert average_precision(np.zeros(0), np.zeros(0)) == 0


def test_the_truth_itself_scores_one_and_a_class_that_is_missed_zero():
    _, truth = random_set(0)
    perfect = [Detections(boxes, np.ones(len(boxes.label))) for boxes in truth]
    score = score_detections(match(perfect, truth, CLASSES), 0.5)
    assert (score.mean_precision, score.mean_recall) == (1, 1)
    without = [Detections(boxes.take(boxes.label != 1), np.ones((boxes.label != 1).sum())) for boxes in truth]
    score = score_detections(match(without, truth, CLASSES), 0.5)
    assert score.precision == score.recall == {0: 1, 1: 0, 2: 1}


def test_scenes_without_any_true_box_and_lists_of_different_lengths_are_refused():
    nothing = random_boxes(np.random.default_rng(0), 0)
    matches = match([Detections(nothing, np.zeros(0))], [nothing], CLASSES)
    with pytest.raises(ValueError, match="no true box in any scene"):
        score_detections(matches, 0.25)
    with pytest.raises(ValueError, match="longer"):
        match([], [nothing], CLASSES)
