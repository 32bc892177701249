"""Scores of semantic segmentation out of a confusion matrix over whole scenes."""

from typing import NamedTuple

import numpy as np


class SegmentationScore(NamedTuple):
    """Figures in [0, 1].

    `miou` is the mean of `iou` over the classes that occur in the truth or in the prediction: one that is predicted and
    never true counts 0, one that is in neither does not count. `macc` is the mean of `recall` over the classes that
    occur in the truth, `accuracy` the share of right points. `iou` and `recall` (Y,) are NaN where they do not count.
    """

    miou: float
    macc: float
    accuracy: float
    iou: np.ndarray
    recall: np.ndarray


class ConfusionMatrix:
    """Counts of points by true and predicted class, added up over scenes, so that each point weighs the same.

    Args:
        num_classes: Y >= 1.
        ignore: label of points that are left out, whatever is predicted there; outside [0, Y).

    Attributes:
        counts: (Y, Y) int64, true by predicted.
    Raises:
        ValueError: `ignore` is a class.
    """

    def __init__(self, num_classes: int, ignore: int = 255):
        if 0 <= ignore < num_classes:
            raise ValueError(f"the label to ignore, {ignore}, is one of the {num_classes} classes")
        self.num_classes, self.ignore = num_classes, ignore
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def add(self, label: np.ndarray, predicted: np.ndarray) -> None:
        """Count the points of a scene. Shape: (N,), (N,) integers.

        Raises:
            ValueError: shapes differ, or a value is no class; names it.
        """
        if label.shape != predicted.shape or label.ndim != 1:
            raise ValueError(f"expected a label and a prediction a point, got shapes {label.shape}, {predicted.shape}")
        kept = label != self.ignore
        label, predicted = label[kept].astype(np.int64), predicted[kept].astype(np.int64)
        for what, values in (("label", label), ("prediction", predicted)):
            wrong = values[(values < 0) | (values >= self.num_classes)]
            if len(wrong):
                raise ValueError(
                    f"{what} {wrong[0]} is none of {self.num_classes} classes, nor the label to ignore, {self.ignore}"
                )
        pairs = np.bincount(label * self.num_classes + predicted, minlength=self.num_classes**2)
        self.counts += pairs.reshape(self.counts.shape)

    def scores(self) -> SegmentationScore:
        """Score what was counted.

        Raises:
            ValueError: no point was.
        """
        if not self.counts.any():
            raise ValueError("no point with a label was added: there is nothing to score")
        right, true, predicted = self.counts.diagonal(), self.counts.sum(axis=1), self.counts.sum(axis=0)
        iou, recall = _share(right, true + predicted - right), _share(right, true)
        accuracy = float(right.sum() / self.counts.sum())
        return SegmentationScore(float(np.nanmean(iou)), float(np.nanmean(recall)), accuracy, iou, recall)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
