"""Stratified selections of labelled rows: a validation split, a smaller training set, folds for cross-validation."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

NEVER_HELD_OUT = -1


def stratified_split(labels: ArrayLike, *, val_fraction: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Hold a share of every class out for validation.

    A class of n >= 2 rows gives round(n * val_fraction) of them to validation, at least 1 and at most n - 1; a
    class of one row stays in the fitting part. The draw of one class does not depend on the other classes.

    Args:
        labels: (M,) whole numbers >= 0, array or tensor.
        val_fraction: share of each class held out, 0 < val_fraction < 1.
    Returns:
        Sorted row indices of the fitting part and of the validation part: disjoint, together all M rows.
    Raises:
        ValueError: labels are not a non-empty vector, or the fraction is not between 0 and 1.
    """
    labels = _label_vector(labels)
    if not 0.0 < val_fraction < 1.0:
        raise ValueError(f"val_fraction must lie between 0 and 1, got {val_fraction}")
    is_val = np.zeros(len(labels), dtype=bool)
    for rows in _shuffled_classes(labels, seed):
        num_val = min(max(round(len(rows) * val_fraction), 1), len(rows) - 1)
        is_val[rows[:num_val]] = True
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)


def stratified_subset(labels: ArrayLike, fraction: float, seed: int = 0) -> np.ndarray:
    """Draw a share of every class, for training with few labels.

    A class of n rows gives round(n * fraction) of them, at least 1. The draw of one class does not depend on the other
    classes, and for a given seed a smaller fraction selects a subset of the rows of a larger one.

    Args:
        labels: (M,) whole numbers >= 0, array or tensor.
        fraction: share of each class to keep, 0 < fraction <= 1.
    Returns:
        Sorted row indices; all M of them for fraction 1.
    Raises:
        ValueError: labels are not a non-empty vector, or the fraction is out of range.
    """
    labels = _label_vector(labels)
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"the fraction of labels must be above 0 and at most 1, got {fraction}")
    kept = [rows[: max(round(len(rows) * fraction), 1)] for rows in _shuffled_classes(labels, seed)]
    return np.sort(np.concatenate(kept))


def stratified_folds(labels: ArrayLike, num_folds: int, seed: int) -> np.ndarray:
    """Assign each row the fold in which it is held out, every class spread over the folds as evenly as its size allows.

    Each class is shuffled and dealt to consecutive folds, starting where the class before it stopped, so that fold
    sizes differ by one at most. A class with fewer rows than folds is held out in as many folds as it has rows; the
    only row of a class is never held out, because no fold could then learn its class. Every class is therefore in
    the fitting part of every fold.

    Args:
        labels: (M,).
        num_folds: at least 2.
        seed: of the shuffles.
    Returns:
        (M,) int64, fold in [0, num_folds), or NEVER_HELD_OUT.
    Raises:
        ValueError: fewer than 2 folds.
    """
    if num_folds < 2:
        raise ValueError(f"cross-validation needs at least 2 folds, got {num_folds}")
    labels = np.asarray(labels)
    rng = np.random.default_rng(seed)
    fold = np.full(len(labels), NEVER_HELD_OUT, dtype=np.int64)
    start = 0
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) < 2:
            continue
        fold[rows] = (start + np.arange(len(rows))) % num_folds
        start += len(rows)
    return fold


def _label_vector(labels: ArrayLike) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"labels must be a non-empty vector, got shape {labels.shape}")
    return labels


def _shuffled_classes(labels: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield the row indices of each class, in an order drawn from (seed, label)."""
    for label in np.unique(labels):
        yield np.random.default_rng((seed, int(label))).permutation(np.flatnonzero(labels == label))
