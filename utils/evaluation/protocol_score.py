"""The score that every protocol returns, and the check of features that every protocol starts with."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.metrics import mean_class_accuracy, overall_accuracy


class Score(NamedTuple):
    """Result of one protocol on one test set.

    `predicted` is (M,) int64 in test order, for confusion matrices. `constants` holds all constants of the protocol
    as JSON values; those of the features are recorded elsewhere.
    """

    task: str
    protocol: str
    accuracy: float
    mean_class_accuracy: float
    predicted: np.ndarray
    constants: dict[str, Any]


def score(task: str, protocol: str, label: ArrayLike, predicted: np.ndarray, constants: dict[str, Any]) -> Score:
    """Score predictions (M,) against labels (M,)."""
    overall, by_class = overall_accuracy(label, predicted), mean_class_accuracy(label, predicted)
    return Score(task, protocol, overall, by_class, predicted, constants)


def check_features(*sets: tuple[np.ndarray, ArrayLike]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Convert feature sets to float64 rows and int64 labels, and check that they fit together.

    Args:
        sets: pairs of features (M, D) and labels (M,); D is the same in all.
    Raises:
        ValueError: a set is empty, rows and labels differ in number, widths differ, or the first set (train) has a
            single class.
    """
    checked = []
    for features, labels in sets:
        rows, labels = np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=np.int64)
        if rows.ndim != 2 or len(rows) == 0 or labels.shape != rows.shape[:1]:
            raise ValueError(f"expected features (M, D) and labels (M,), M >= 1, got {rows.shape} and {labels.shape}")
        checked.append((rows, labels))
    widths = {rows.shape[1] for rows, _ in checked}
    if len(widths) > 1:
        raise ValueError(f"train and test features have different widths: {sorted(widths)}")
    if len(np.unique(checked[0][1])) < 2:
        raise ValueError(f"the train split has the single class {checked[0][1][0]}; a classifier needs at least 2")
    return checked
