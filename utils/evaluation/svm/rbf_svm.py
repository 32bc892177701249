"""SVM with an RBF kernel on frozen features, with sklearn's constants or with gamma and C chosen on train.

Features are as they are, not standardised. Every kernel is exp(-gamma d) of the same squared distances d, so that these
are computed once for the whole grid.

Source: the evaluation of selfsup_pcd (Tran et al. 2022, arXiv:2210.15904).
"""

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.protocol_score import Score, check_features, score
from utils.evaluation.svm.linear_svm import NUM_FOLDS, Prediction, fit_and_predict, held_out_rows

TASK = "rbf_svm"
DEFAULT_C = 1.0
GAMMA_GRID = tuple(factor * 10.0**power for power in range(-3, 2) for factor in (1, 5))
C_GRID = tuple(factor * 10.0**power for power in range(-1, 4) for factor in (1, 5))


def rbf_protocol(
    train_features: np.ndarray, train_labels: ArrayLike, test_features: np.ndarray, test_labels: ArrayLike
) -> Score:
    """Fit an SVM as `SVC()` does: C = 1, gamma = 1 / (D * variance of all train values); score it on test.

    Args, Raises: as `linear_svm.published_protocol`, which takes C as well.
    """
    (train, labels), (test, truth) = check_features((train_features, train_labels), (test_features, test_labels))
    variance = float(train.var())
    gamma = 1 / (train.shape[1] * variance) if variance else 1.0
    (fit,) = _fit(squared_distances(train, train), labels, squared_distances(test, train), gamma, [DEFAULT_C])
    constants = {"kernel": "rbf", "c": DEFAULT_C, "gamma": gamma, "scaler": "none", "has_converged": fit.has_converged}
    return score(TASK, "rbf", truth, fit.predicted, constants)


def rbf_grid_protocol(
    train_features: np.ndarray,
    train_labels: ArrayLike,
    test_features: np.ndarray,
    test_labels: ArrayLike,
    *,
    seed: int = 0,
) -> Score:
    """Choose gamma and C by stratified cross-validation on train, fit on all of train, score once on test.

    Of equally good pairs the one with the smallest C is taken, and of these the one with the smallest gamma.

    Args, Raises: as `linear_svm.fair_protocol`.
    """
    (train, labels), (test, truth) = check_features((train_features, train_labels), (test_features, test_labels))
    distances = squared_distances(train, train)
    accuracies = cross_validate(distances, labels, seed=seed)
    of_c, of_gamma = np.unravel_index(np.argmax(accuracies.T), accuracies.T.shape)
    c, gamma = C_GRID[of_c], GAMMA_GRID[of_gamma]
    (fit,) = _fit(distances, labels, squared_distances(test, train), gamma, [c])
    constants = {
        "kernel": "rbf",
        "c": c,
        "gamma": gamma,
        "scaler": "none",
        "c_grid": list(C_GRID),
        "gamma_grid": list(GAMMA_GRID),
        "cv_accuracy": round(float(accuracies.max()), 6),
        "num_folds": NUM_FOLDS,
        "cv_seed": seed,
        "has_converged": fit.has_converged,
    }
    return score(TASK, "rbf_grid", truth, fit.predicted, constants)


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distance of each row to each other one. Shape: (M, D), (K, D) -> (M, K)."""
    norms, other_norms = np.square(rows).sum(axis=1), np.square(others).sum(axis=1)
    return np.maximum(norms[:, None] + other_norms - 2 * (rows @ others.T), 0)


def cross_validate(distances: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the share of held-out train rows predicted correctly with each pair of the two grids.

    Args:
        distances: (M, M), squared, between the train rows.
        labels: (M,) int64.
        seed: of the folds.
    Returns:
        (len(GAMMA_GRID), len(C_GRID)) in [0, 1].
    Raises:
        ValueError: no class has 2 rows, so that none can be held out.
    """
    num_right, num_held_out = np.zeros((len(GAMMA_GRID), len(C_GRID))), 0
    for is_out in held_out_rows(labels, seed):
        among, across = distances[~is_out][:, ~is_out], distances[is_out][:, ~is_out]
        num_held_out += np.count_nonzero(is_out)
        for i, gamma in enumerate(GAMMA_GRID):
            fits = _fit(among, labels[~is_out], across, gamma, C_GRID)
            num_right[i] += [np.count_nonzero(fit.predicted == labels[is_out]) for fit in fits]
    return num_right / num_held_out


def _fit(among: np.ndarray, labels: np.ndarray, across: np.ndarray, gamma: float, grid: ArrayLike) -> list[Prediction]:
    """Predict by one SVM for each C of `grid`, which ascends.

    Args:
        among, across: squared distances among train rows (M, M), and from test rows to these (K, M).
    """
    kernel, cross, fits = np.exp(-gamma * among), np.exp(-gamma * across), []
    for c in grid:
        if not fits or fits[-1].is_bounded or not fits[-1].has_converged:
            (fit,) = fit_and_predict(kernel, labels, cross, [c])
        fits.append(fit)
    return fits
