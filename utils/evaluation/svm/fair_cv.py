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
        ValueError: lengths differ, a single class, or too few rows of every class to hold one out twice.
    """
    ((rows, truth),) = check_features((features, labels))
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
