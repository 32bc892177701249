"""Scores of semantic segmentation against loops over points."""

import numpy as np
import pytest

from utils.semseg.confusion import ConfusionMatrix

CLASSES, IGNORE = 6, 255


def scenes(seed=0):
    """Labels and predictions: class 4 is predicted alone, 5 nowhere; some points have no label."""
    rng = np.random.default_rng(seed)
    for count in (101, 7, 53):
        label = rng.choice([0, 1, 2, 3, IGNORE], count)
        yield label, np.where(rng.random(count) < 0.6, np.where(label == IGNORE, 0, label), rng.integers(0, 5, count))


def test_scores_equal_loops_over_points():
    matrix = ConfusionMatrix(CLASSES, IGNORE)
    pairs = []
    for label, predicted in scenes():
        matrix.add(label.astype(np.uint8), predicted)
        pairs += [(int(a), int(b)) for a, b in zip(label, predicted) if a != IGNORE]
    score = matrix.scores()
    ious, recalls = {}, {}
    for label in range(CLASSES):
        both = sum(a == label and b == label for a, b in pairs)
        either = sum(a == label or b == label for a, b in pairs)
        true = sum(a == label for a, b in pairs)
        if either:
            ious[label] = both / either
        if true:
            recalls[label] = both / true
    assert list(ious) == [0, 1, 2, 3, 4]
    assert list(recalls) == [0, 1, 2, 3]
    assert {i: v for i, v in enumerate(score.iou.tolist()) if v == v} == pytest.approx(ious)
    assert {i: v for i, v in enumerate(score.recall.tolist()) if v == v} == pytest.approx(recalls)
    assert score.miou == pytest.approx(sum(ious.values()) / 5)
    assert score.macc == pytest.approx(sum(recalls.values()) / 4)
    assert score.accuracy == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_what_is_no_class_is_refused_unless_the_point_is_ignored():
    matrix = ConfusionMatrix(3, -1)
    matrix.add(np.array([-1, 0]), np.array([9, 0]))
    assert matrix.scores().accuracy == 1
    with pytest.raises(ValueError, match="label 3 is none of 3 classes, nor the label to ignore, -1"):
        matrix.add(np.array([0, 3]), np.array([0, 0]))
    with pytest.raises(ValueError, match="prediction -1 is none of 3 classes"):
        matrix.add(np.array([0, 2]), np.array([0, -1]))
    with pytest.raises(ValueError, match=r"got shapes \(2,\), \(1,\)"):
        matrix.add(np.array([0, 2]), np.array([0]))
    with pytest.raises(ValueError, match="the label to ignore, 2, is one of the 3 classes"):
        ConfusionMatrix(3, 2)


def test_points_without_labels_alone_cannot_be_scored():
    matrix = ConfusionMatrix(3)
    matrix.add(np.full(4, 255), np.zeros(4, int))
    with pytest.raises(ValueError, match="nothing to score"):
        matrix.scores()
