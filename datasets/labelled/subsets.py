"""Smaller training sets, for trials with few labels."""

import numpy as np
from numpy.typing import ArrayLike


def stratified_subset(labels: ArrayLike, fraction: float, seed: int = 0) -> np.ndarray:
    """Draw a share of every class.

    A class of n rows gives round(n * fraction) of them, at least 1. The draw of one class does not depend on the other
    classes, and of one seed the rows of a smaller fraction are among those of a larger one.

    Args:
        labels: (M,) whole numbers >= 0, array or tensor.
        fraction: share of each class to keep, 0 < fraction <= 1.
    Returns:
        Sorted row indices; all M of them for fraction 1.
    Raises:
        ValueError: labels are not a non-empty vector, or the fraction is out of range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"labels must be a non-empty vector, got shape {labels.shape}")
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"the fraction of labels must be above 0 and at most 1, got {fraction}")
    kept = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = np.random.default_rng((seed, int(label))).permutation(len(rows))
        kept.append(rows[order[: max(round(len(rows) * fraction), 1)]])
    return np.sort(np.concatenate(kept))
