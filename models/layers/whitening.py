"""Whitening of features: the few directions in which all shapes differ most no longer decide every distance.

Source: PCA whitening of descriptors (Jegou and Chum 2012, "Negative evidences and co-occurences in image retrieval"),
regularised and turned back to the features' own axes (ZCA), so that scaling each axis afterwards means what it did.
"""

from typing import NamedTuple

import numpy as np


class Whitening(NamedTuple):
    """A linear map of centred features that shortens principal directions. Fitted by `fit_whitening`.

    Attributes:
        mean: (D,) float64, taken away first.
        directions: (D, R) float64, orthonormal.
        factors: (R,) float64 in (0, 1], of the components along them; what is orthogonal to them stays as it is.
    """

    mean: np.ndarray
    directions: np.ndarray
    factors: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Map features. Shape: (M, D) -> (M, D) float32."""
        centred = features - self.mean
        along = (centred @ self.directions) * (self.factors - 1)
        return (centred + along @ self.directions.T).astype(np.float32)


def fit_whitening(features: np.ndarray, shrinkage: float) -> Whitening:
    """Find the directions of large variance and how much to shorten each: labels play no part.

    A direction of variance v is multiplied by sqrt(s / (v + s)), where s is `shrinkage` times the largest variance: so
    all directions of a variance far above s come out equally long, and those far below it stay as they are.

    Args:
        features: (M, D), M >= 2.
        shrinkage: > 0, dimensionless.
    Raises:
        ValueError: shrinkage not positive, fewer than two features, or all of them equal.
    """
    if not shrinkage > 0:
        raise ValueError(f"--whiten must be above 0, got {shrinkage:g}")
    if len(features) < 2:
        raise ValueError("whitening needs the features of at least 2 clouds")
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    if len(centred) < centred.shape[1]:  # the smaller of two products that share their eigenvalues
        variances, own = np.linalg.eigh(centred @ centred.T / len(centred))
        rank = variances > variances[-1] * 1e-10
        directions = centred.T @ own[:, rank] / np.sqrt(len(centred) * variances[rank])
    else:
        variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
        rank = variances > variances[-1] * 1e-10
        directions = directions[:, rank]
    if not variances[-1] > 0:
        raise ValueError("whitening needs features that differ, and all are equal")
    smallest = shrinkage * variances[-1]
    return Whitening(mean, directions, np.sqrt(smallest / (variances[rank] + smallest)))
