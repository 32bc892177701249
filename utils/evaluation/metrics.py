"""Accuracies and mean intersections over union, as pure functions of arrays."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score, recall_score

from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import PartTable


def overall_accuracy(label: ArrayLike, predicted: ArrayLike) -> float:
    """Compute the share of equal entries, in [0, 1].

    Args:
        label, predicted: (M,), M >= 1.
    Raises:
        ValueError: empty, or of different shapes.
    """
    return float(accuracy_score(*_same_shape(label, predicted)))


def mean_class_accuracy(label: ArrayLike, predicted: ArrayLike) -> float:
    """Compute the recall of each class that occurs in `label`, and return their mean, in [0, 1].

    Args, Raises: as `overall_accuracy`.
    """
    label, predicted = _same_shape(label, predicted)
    # balanced_accuracy_score is the same mean, but warns of predicted classes that do not occur in `label`.
    return float(recall_score(label, predicted, labels=np.unique(label), average="macro"))


def shape_iou(part_label: ArrayLike, predicted: ArrayLike, part_labels: range) -> float:
    """Compute the mean intersection over union of one shape over the parts of its category.

    A part that is absent from both truth and prediction counts as 1. Points predicted as a part of another category
    are in no intersection, and so lower the IoU of the part they belong to.

    Args:
        part_label, predicted: (N,) global part labels.
        part_labels: the parts of the shape's category, `PartCategory.part_labels`.
    Returns:
        In [0, 1].
    Source: Yi et al. 2016, as scored by Qi et al. 2017 (PointNet).
    """
    part_label, predicted = _same_shape(part_label, predicted)
    ious = []
    for part in part_labels:
        is_true, is_predicted = part_label == part, predicted == part
        union = np.count_nonzero(is_true | is_predicted)
        ious.append(np.count_nonzero(is_true & is_predicted) / union if union else 1.0)
    return float(np.mean(ious))


def shape_ious(
    part_labels: ArrayLike, predicted: ArrayLike, categories: ArrayLike, table: PartTable = SHAPENET_PART
) -> np.ndarray:
    """Compute the `shape_iou` of every shape.

    Args:
        part_labels, predicted: (M, N) global part labels, in ShapeNetPart in [0, 50).
        categories: (M,) indices of `table`.
    Returns:
        (M,) float64.
    """
    rows = zip(np.asarray(part_labels), np.asarray(predicted), np.asarray(categories), strict=True)
    return np.array([shape_iou(truth, guess, table[category].part_labels) for truth, guess, category in rows])


def instance_miou(ious: ArrayLike) -> float:
    """Compute the mean over shapes (M,) of their IoU: the figure CrossPoint reports."""
    return float(np.mean(ious))


def class_miou(ious: ArrayLike, categories: ArrayLike) -> float:
    """Compute the mean IoU of the shapes of each category that occurs, and return the mean over categories.

    Args:
        ious, categories: (M,).
    """
    return float(np.mean(list(_category_means(ious, categories).values())))


def category_ious(ious: ArrayLike, categories: ArrayLike, table: PartTable = SHAPENET_PART) -> dict[str, float]:
    """Compute the mean IoU of the shapes of each category that occurs, by name, in the table's order.

    Args:
        ious: (M,).
        categories: (M,) indices of `table`.
    """
    return {table[index].name: mean for index, mean in _category_means(ious, categories).items()}


def _category_means(ious: ArrayLike, categories: ArrayLike) -> dict[int, float]:
    ious, categories = _same_shape(ious, categories)
    return {int(index): float(ious[categories == index].mean()) for index in np.unique(categories)}


def _same_shape(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"expected two non-empty vectors of one length, got shapes {a.shape} and {b.shape}")
    return a, b
