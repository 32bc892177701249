"""Folds for cross-validation that cope with classes of any size."""

import numpy as np
from numpy.typing import ArrayLike

NEVER_HELD_OUT = -1


def stratified_folds(labels: ArrayLike, num_folds: int, seed: int) -> np.ndarray:
    """Fold in which each row is held out; every class is dealt over the folds as evenly as its size allows.

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
