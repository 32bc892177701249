"""Nearest-neighbour classification of frozen features: a score with nothing to fit and no constant to choose."""

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.protocol_score import Score, check_features, score

TASK = "nearest_neighbour"
_ROWS_AT_ONCE = 1024  # bounds the memory of the similarities for large test splits


def knn_protocol(
    train_features: np.ndarray, train_labels: ArrayLike, test_features: np.ndarray, test_labels: ArrayLike
) -> Score:
    """Label each test cloud like the train cloud whose feature, unscaled, has the largest cosine with its own.

    Of equal cosines the first in train order counts. A zero feature has cosine 0 with every other.

    Args:
        train_features, test_features: (M, D), finite.
        train_labels, test_labels: (M,) whole numbers.
    Raises:
        ValueError: a set is empty, widths or lengths differ, or train has a single class.
    """
    (train, labels), (test, truth) = check_features((train_features, train_labels), (test_features, test_labels))
    train, test = _unit_rows(train), _unit_rows(test)
    nearest = [
        (test[start : start + _ROWS_AT_ONCE] @ train.T).argmax(axis=1) for start in range(0, len(test), _ROWS_AT_ONCE)
    ]
    constants = {"metric": "cosine", "num_neighbours": 1, "scaler": "none"}
    return score(TASK, "knn", truth, labels[np.concatenate(nearest)], constants)


def nearest_other(features: np.ndarray) -> np.ndarray:
    """Return the row of each feature's nearest other one by cosine: predictions that leave one out. Shape: -> (M,).

    Args:
        features: (M, D), finite, M at least 2.
    """
    rows, found = _unit_rows(np.asarray(features, np.float64)), []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        similarity = rows[start : start + _ROWS_AT_ONCE] @ rows.T
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        found.append(similarity.argmax(axis=1))
    return np.concatenate(found)


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
