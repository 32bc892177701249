"""Nearest-neighbour classification of frozen features: a score with nothing to fit and no constant to choose."""

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.protocol_score import Score, check_features, score

TASK = "nearest_neighbour"
LEAVE_ONE_OUT = "knn_loo"
_CONSTANTS = {"metric": "cosine", "num_neighbours": 1, "scaler": "none"}
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
    return score(TASK, "knn", truth, labels[_nearest(test, train)], dict(_CONSTANTS))


def leave_one_out_protocol(features: np.ndarray, labels: ArrayLike) -> Score:
    """Label each cloud of one set like that of all others whose feature has the largest cosine with its own.

    Args, Raises: as `knn_protocol`. The only cloud of a class counts, and is never right.
    """
    ((rows, truth),) = check_features((features, labels))
    rows = _unit_rows(rows)
    return score(TASK, LEAVE_ONE_OUT, truth, truth[_nearest(rows, rows, is_one_set=True)], dict(_CONSTANTS))


def _nearest(rows: np.ndarray, others: np.ndarray, *, is_one_set: bool = False) -> np.ndarray:
    """Return the number of the other unit row that is nearest to each, of one set another than itself."""
    found = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        cosine = rows[start : start + _ROWS_AT_ONCE] @ others.T
        if is_one_set:
            own = np.arange(len(cosine))
            cosine[own, start + own] = -np.inf
        found.append(cosine.argmax(axis=1))
    return np.concatenate(found)


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
