"""Average precision and recall of detections: VoteNet's protocol.

A detection is right if the box of its class that it overlaps most, in its scene, is overlapped by more than a threshold
and no surer detection has it. Average precision is the area under the curve of precision over recall, after precision
was replaced by the largest at this recall or a higher one, as in PASCAL VOC since 2010.

Source: eval_det.py of facebookresearch/votenet.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes
from utils.detection.box_overlap import turned_iou
from utils.detection.detections import Detections

THRESHOLDS = (0.25, 0.5)


class Matches(NamedTuple):
    """Detections of all scenes, in the order of the scenes, and the box of their class that each overlaps most.

    label (M,) and score (M,) of the detections; iou (M,), 0 where there is no box; box (M,), its number among all true
    boxes; num_boxes (Y,) the true boxes of each class.
    """

    label: np.ndarray
    score: np.ndarray
    iou: np.ndarray
    box: np.ndarray
    num_boxes: np.ndarray


class DetectionScore(NamedTuple):
    """Figures in [0, 1] at one threshold: means over the classes with a true box, and those of each such class."""

    threshold: float
    mean_precision: float
    mean_recall: float
    precision: dict[int, float]
    recall: dict[int, float]


def match(found: Iterable[Detections], truth: Iterable[SceneBoxes], num_classes: int) -> Matches:
    """Find the true box that each detection overlaps most; of equal ones the first.

    Args:
        found, truth: of the same scenes, in one order.
    Raises:
        ValueError: more scenes on one side.
    """
    labels, scores, ious, boxes = [], [], [], []
    num_boxes, before = np.zeros(num_classes, np.int64), 0
    for detections, true in zip(found, truth, strict=True):
        iou = np.zeros((len(detections.score), len(true.label) + 1))  # with a place for scenes without boxes
        for label in np.unique(true.label):
            rows, columns = np.flatnonzero(detections.boxes.label == label), np.flatnonzero(true.label == label)
            iou[np.ix_(rows, columns)] = turned_iou(detections.boxes.take(rows), true.take(columns))
        labels.append(detections.boxes.label)
        scores.append(detections.score)
        ious.append(iou.max(axis=1))
        boxes.append(before + iou.argmax(axis=1))
        before += len(true.label)
        num_boxes += np.bincount(true.label, minlength=num_classes)
    columns = (np.concatenate([np.zeros(0), *column]) for column in (scores, ious))
    label, box = (np.concatenate([np.zeros(0, np.int64), *column]) for column in (labels, boxes))
    score, iou = columns
    return Matches(label, score, iou, box, num_boxes)


def score_detections(matches: Matches, threshold: float) -> DetectionScore:
    """Score all detections at one threshold.

    A class without true boxes has no recall and is left out of the means, detected or not; one with boxes and without
    detections counts 0. Of equal scores, the detection of the earlier scene comes first.

    Raises:
        ValueError: no true box at all.
    """
    if not matches.num_boxes.any():
        raise ValueError("no true box in any scene: there is no precision to compute; pass scenes with boxes")
    precision, recall = {}, {}
    for label in np.flatnonzero(matches.num_boxes).tolist():
        is_right = _right(matches, label, threshold)
        found = is_right.cumsum()
        share = found / matches.num_boxes[label]
        precision[label] = average_precision(share, found / np.arange(1, len(found) + 1))
        recall[label] = float(share[-1]) if len(share) else 0.0
    means = (float(np.mean(list(of.values()))) for of in (precision, recall))
    return DetectionScore(threshold, *means, precision, recall)


def _right(matches: Matches, label: int, threshold: float) -> np.ndarray:
    """Tell of each detection of a class, the surest first, whether it is right."""
    rows = np.flatnonzero(matches.label == label)
    rows = rows[np.argsort(-matches.score[rows], kind="stable")]
    is_close = matches.iou[rows] > threshold
    _, first = np.unique(matches.box[rows][is_close], return_index=True)
    is_right = np.zeros(len(rows), bool)
    is_right[np.flatnonzero(is_close)[first]] = True
    return is_right


def average_precision(recall: np.ndarray, precision: np.ndarray) -> float:
    """Compute the area under a curve whose recall (M,) does not fall, with the largest precision from there on."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())
