"""The fair linear SVM scored on a train split alone, so that choices between encoders need no look at test."""

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.protocol_score import Score, check_features, score
from utils.evaluation.svm.linear_svm import NUM_FOLDS, TASK, fair_protocol, held_out_rows

PROTOCOL = "fair_cv"


def fair_cv_protocol(features: np.ndarray, labels: ArrayLike, *, seed: int = 0) -> Score:
    """Label each row by the fair SVM of the folds that do not hold it, which chooses its C within them.

    The only row of a class is in every fit and is not scored.

    Args:
        features: (M, D), finite.
        labels: (M,) whole numbers.
        seed: of the folds, outer and inner.
    Returns:
        `predicted` and the accuracies are those of the `num_scored` rows that a fold holds out, in their order.
    Raises:
        ValueError: lengths differ, a single class, or fewer than two classes of which rows can be held out.
    """
    ((rows, truth),) = check_features((features, labels))
    counts = np.unique(truth, return_counts=True)[1]
    if np.sum(counts > 1) < 2:
        raise ValueError(
            f"{PROTOCOL} needs at least 2 classes with 2 clouds or more, got {np.sum(counts > 1)}, and "
            f"{np.sum(counts == 1)} with a single cloud, which cannot be held out; give more clouds of these classes"
        )
    predicted, is_scored, folds = np.zeros_like(truth), np.zeros(len(truth), dtype=bool), []
    for is_out in held_out_rows(truth, seed):
        folds.append(fair_protocol(rows[~is_out], truth[~is_out], rows[is_out], truth[is_out], seed=seed))
        predicted[is_out] = folds[-1].predicted
        is_scored |= is_out
    constants = {
        "kernel": "linear",
        "c_of_folds": [fold.constants["c"] for fold in folds],
        "scaler": "StandardScaler fitted on the rows that are trained on",
        "c_grid": folds[0].constants["c_grid"],
        "num_folds": NUM_FOLDS,
        "cv_seed": seed,
        "num_scored": int(is_scored.sum()),
        "has_converged": all(fold.constants["has_converged"] for fold in folds),
    }
    return score(TASK, PROTOCOL, truth[is_scored], predicted[is_scored], constants)


def left_out_words(num_scored: int, num_rows: int) -> str:
    """Say how many rows were scored where some were left out; "" where none was."""
    if num_scored == num_rows:
        return ""
    return f"{num_scored} of {num_rows} scored: the only one of a class cannot be held out"
