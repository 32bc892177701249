"""Validation splits held out of a train split."""

import numpy as np
from numpy.typing import ArrayLike


def stratified_split(labels: ArrayLike, *, val_fraction: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of a labelled set in two, class by class.

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
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"labels must be a non-empty vector, got shape {labels.shape}")
    if not 0.0 < val_fraction < 1.0:
        raise ValueError(f"val_fraction must lie between 0 and 1, got {val_fraction}")
    is_val = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        num_val = min(max(round(len(rows) * val_fraction), 1), len(rows) - 1)
        order = np.random.default_rng((seed, int(label))).permutation(len(rows))
        is_val[rows[order[:num_val]]] = True
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)
