"""Linear SVM on frozen features with fixed C and, in the fair protocol, a chosen one, with all constants.

All fit `SVC(kernel="precomputed")` on a float64 Gram matrix computed by BLAS, which solves the problem of
`SVC(kernel="linear")` with the same predictions several times faster. Published: features as they are, C fixed in
advance. Fair: standardised features, C chosen by cross-validation on train alone, so that an encoder is not judged by
the scale its features happen to have.
"""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn

from datasets.labelled.stratified import NEVER_HELD_OUT, stratified_folds
from utils.evaluation.features import extract_together
from utils.evaluation.protocol_score import Score, check_features, score
from utils.processes.collectives import compute_on_main

TASK = "linear_svm"
PUBLISHED_C = 0.1  # of the SVM inside CrossPoint's training; its notebook uses 0.01
C_GRID = (1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1, 3.16e-1, 1.0)
NUM_FOLDS = 5
PROBE_C = 0.01  # of the probe during training, where a search would take too long
# Real features need under 20,000 steps for a pair of classes. On features of clouds of very unequal size libsvm never
# stops; the cap turns that into a score marked as not converged.
MAX_STEPS = 1_000_000


class Prediction(NamedTuple):
    """Labels (M,) that a fitted SVM gives to test rows, and whether the fit converged.

    `is_bounded`: a multiplier is as large as C; where none is, every larger C has the same solution.
    """

    predicted: np.ndarray
    has_converged: bool
    is_bounded: bool


def published_protocol(
    train_features: np.ndarray,
    train_labels: ArrayLike,
    test_features: np.ndarray,
    test_labels: ArrayLike,
    *,
    c: float = PUBLISHED_C,
) -> Score:
    """Fit a linear SVM with the given C on train features as they are, and score it on test.

    Args:
        train_features, test_features: (M, D), finite.
        train_labels, test_labels: (M,) whole numbers.
        c: > 0, weight of the hinge loss.
    Raises:
        ValueError: c is not positive, a set is empty, widths or lengths differ, or train has a single class.
    Source: CrossPoint (Afham et al. 2022, arXiv:2203.00680), its published code.
    """
    if c <= 0:
        raise ValueError(f"C of a linear SVM must be > 0, got {c}")
    (train, labels), (test, truth) = check_features((train_features, train_labels), (test_features, test_labels))
    (fit,) = _fit_and_predict(train, labels, test, [c])
    constants = {"kernel": "linear", "c": c, "scaler": "none", "has_converged": fit.has_converged}
    return score(TASK, "published", truth, fit.predicted, constants)


def fair_protocol(
    train_features: np.ndarray,
    train_labels: ArrayLike,
    test_features: np.ndarray,
    test_labels: ArrayLike,
    *,
    seed: int = 0,
) -> Score:
    """Choose C by stratified cross-validation on standardised train features, fit on all of train, score once on test.

    In each fold the scaler is fitted on the rows that are trained on, so that held-out rows do not influence it. This
    costs one Gram matrix per fold, shared by the whole grid of C. Of equally good C the smallest is taken.

    Args, beside those of `published_protocol`:
        seed: of the folds.
    Raises:
        ValueError: a set is empty, widths or lengths differ, or train has a single class or no class with 2 rows.
    """
    (train, labels), (test, truth) = check_features((train_features, train_labels), (test_features, test_labels))
    cv_accuracies = cross_validate(train, labels, seed=seed)
    best = int(np.argmax(cv_accuracies))
    fit = standardised_svm(train, labels, test, c=C_GRID[best])
    constants = {
        "kernel": "linear",
        "c": C_GRID[best],
        "scaler": "StandardScaler fitted on train",
        "c_grid": list(C_GRID),
        "cv_accuracies": [round(float(value), 6) for value in cv_accuracies],
        "num_folds": NUM_FOLDS,
        "cv_seed": seed,
        "has_converged": fit.has_converged,
    }
    return score(TASK, "fair", truth, fit.predicted, constants)


def cross_validate(train_features: np.ndarray, train_labels: ArrayLike, *, seed: int = 0) -> np.ndarray:
    """Return the share of held-out train rows predicted correctly at each C of C_GRID, on standardised features.

    Predictions of a fit that did not converge count like any other.

    Args:
        train_features: (M, D).
        train_labels: (M,); classes may have fewer rows than there are folds.
        seed: of the folds.
    Returns:
        (len(C_GRID),) in [0, 1].
    Raises:
        ValueError: no class has 2 rows, so that none can be held out.
    """
    ((train, labels),) = check_features((train_features, train_labels))
    num_right, num_held_out = np.zeros(len(C_GRID), dtype=np.int64), 0
    for is_held_out in held_out_rows(labels, seed):
        num_held_out += np.count_nonzero(is_held_out)
        parts = _standardised(train[~is_held_out], labels[~is_held_out], train[is_held_out])
        for i, fit in enumerate(_fit_and_predict(*parts, C_GRID)):
            num_right[i] += np.count_nonzero(fit.predicted == labels[is_held_out])
    return num_right / num_held_out


def held_out_rows(labels: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield a mask (M,) of the train rows that each stratified fold holds out.

    Raises:
        ValueError: no class has 2 rows, so that none can be held out.
    """
    folds = stratified_folds(labels, NUM_FOLDS, seed)
    numbers = np.unique(folds[folds != NEVER_HELD_OUT])
    if not len(numbers):
        raise ValueError("cross-validation needs a class with at least 2 train clouds; use --protocol published")
    for number in numbers:
        yield folds == number


def standardised_svm(train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, c: float) -> Prediction:
    """Fit a linear SVM on `train` and label `test`, both standardised by the mean and deviation of `train`.

    Args:
        train, test: (M, D) float64, finite.
        labels: (M,) of the train rows, at least 2 classes.
        c: > 0, weight of the hinge loss.
    """
    (fit,) = _fit_and_predict(*_standardised(train, labels, test), [c])
    return fit


def _standardised(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, ...]:
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), labels, scaler.transform(test)


def _fit_and_predict(train: np.ndarray, labels: np.ndarray, test: np.ndarray, grid: ArrayLike) -> list[Prediction]:
    """Label `test` (M, D) by one linear SVM for each C of `grid`, all fitted on one Gram matrix."""
    return fit_and_predict(train @ train.T, labels, test @ train.T, grid)


def fit_and_predict(gram: np.ndarray, labels: np.ndarray, cross: np.ndarray, grid: ArrayLike) -> list[Prediction]:
    """Label test rows by one SVM for each C of `grid`.

    Args:
        gram: (M, M), the kernel between train rows.
        labels: (M,) of the train rows, at least 2 classes.
        cross: (K, M), the kernel between test and train rows.
    """
    predictions = []
    for c in grid:
        svm = SVC(kernel="precomputed", C=c, max_iter=MAX_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # reported as has_converged
            svm.fit(gram, labels)
        has_converged, is_bounded = svm.n_iter_.max() < MAX_STEPS, np.abs(svm.dual_coef_).max() >= c
        predictions.append(Prediction(svm.predict(cross), bool(has_converged), bool(is_bounded)))
    return predictions


class LinearProbe:
    """Scores an encoder by a standardised linear SVM on held-out clouds, with a fixed C: cheap enough between epochs.

    Args:
        train_points, val_points: (M, N, 3), disjoint parts of a train split.
        train_labels, val_labels: (M,).
        name: of the data set, for the metric's key.
        device: the encoder is moved there and stays; None leaves it where it is.
        batch_size: clouds per forward pass.
    """

    def __init__(
        self,
        train_points: np.ndarray | Tensor,
        train_labels: ArrayLike,
        val_points: np.ndarray | Tensor,
        val_labels: ArrayLike,
        name: str,
        device: torch.device | None = None,
        batch_size: int = 32,
    ):
        self.train_points, self.train_labels = train_points, train_labels
        self.val_points, self.val_labels = val_points, val_labels
        self.name, self.device, self.batch_size = name, device, batch_size

    def __call__(self, encoder: nn.Module) -> dict[str, float]:
        """Return one entry, "svm/<name>_val": accuracy in [0, 1]. The encoder's modes and weights do not change.

        Every rank must call it.
        """
        train, val = (
            extract_together(encoder, points, batch_size=self.batch_size, device=self.device)
            for points in (self.train_points, self.val_points)
        )
        return compute_on_main(lambda: self._score(train, val))

    def _score(self, train: np.ndarray, val: np.ndarray) -> dict[str, float]:
        train, _, val = _standardised(train.astype(np.float64), self.train_labels, val.astype(np.float64))
        result = published_protocol(train, self.train_labels, val, self.val_labels, c=PROBE_C)
        return {f"svm/{self.name}_val": result.accuracy}
