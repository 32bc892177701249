"""Counts and means behind every reported figure: pure functions of arrays."""

import numpy as np
from numpy.typing import ArrayLike

from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import PartTable


def overall_accuracy(label: ArrayLike, predicted: ArrayLike) -> float:
    """Share of equal entries, in [0, 1].

    Args:
        label, predicted: (M,), M >= 1.
    Raises:
        ValueError: empty, or of different shapes.
    """
    label, predicted = _same_shape(label, predicted)
    return float(np.mean(label == predicted))


def mean_class_accuracy(label: ArrayLike, predicted: ArrayLike) -> float:
    """Mean over the classes that occur in `label` of the share of their entries predicted right.

    Args, Raises: as `overall_accuracy`.
    """
    label, predicted = _same_shape(label, predicted)
    return float(np.mean([np.mean(predicted[label == value] == value) for value in np.unique(label)]))


def confusion_matrix(label: ArrayLike, predicted: ArrayLike, num_classes: int) -> np.ndarray:
    """Counts (Y, Y) int64; row: true class, column: predicted class.

    Args:
        label, predicted: (M,) in [0, Y).
        num_classes: Y.
    Raises:
        ValueError: empty, of different shapes, or an entry outside [0, Y).
    """
    label, predicted = _same_shape(label, predicted)
    low, high = min(label.min(), predicted.min()), max(label.max(), predicted.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels run from {low} to {high}, expected 0 to {num_classes - 1}")
    return np.bincount(label * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def shape_iou(part_label: ArrayLike, predicted: ArrayLike, part_labels: range) -> float:
    """Mean intersection over union of one shape over the parts of its category.

    A part that is absent from both truth and prediction counts 1. Points predicted as a part of another category
    are in no intersection and lower the score of the part they belong to.

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
    """`shape_iou` of every shape.

    Args:
        part_labels, predicted: (M, N) global part labels, in ShapeNetPart in [0, 50).
        categories: (M,) indices of `table`.
    Returns:
        (M,) float64.
    """
    rows = zip(np.asarray(part_labels), np.asarray(predicted), np.asarray(categories), strict=True)
    return np.array([shape_iou(truth, guess, table[category].part_labels) for truth, guess, category in rows])


def instance_miou(ious: ArrayLike) -> float:
    """Mean over shapes (M,) of their IoU: the figure CrossPoint reports."""
    return float(np.mean(ious))


def class_miou(ious: ArrayLike, categories: ArrayLike) -> float:
    """Mean over the categories that occur of the mean IoU of their shapes.

    Args:
        ious, categories: (M,).
    """
    return float(np.mean(list(_category_means(ious, categories).values())))


def category_ious(ious: ArrayLike, categories: ArrayLike, table: PartTable = SHAPENET_PART) -> dict[str, float]:
    """Mean IoU of the shapes of each category that occurs, by its name, in the table's order.

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
