"""Spread of sets of feature rows, and how much of a reference set another set covers. Rows: (M, D), float."""

import numpy as np


def nearest_distances(rows: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Compute the distance from every row to its nearest other row, or to the nearest of `others`.

    Shape: (M, D), (K, D) or None -> (M,).
    """
    to = rows if others is None else others
    squares = (rows**2).sum(axis=1)[:, None] + (to**2).sum(axis=1) - 2 * rows @ to.T  # (M, K)
    if others is None:
        np.fill_diagonal(squares, np.inf)
    return np.sqrt(np.maximum(squares.min(axis=1), 0))


def covered_share(reference: np.ndarray, rows: np.ndarray) -> float:
    """Compute the share of reference rows that have one of `rows` nearer than their nearest other reference row.

    With as many rows from the reference's own distribution it is one half, but for chance.
    """
    return float((nearest_distances(reference, rows) < nearest_distances(reference)).mean())


def participation_ratio(rows: np.ndarray) -> float:
    """Compute (sum of the variances)^2 / sum of their squares along the principal axes: D for a ball, 1 for a line."""
    variances = _variances(rows)
    return float(variances.sum() ** 2 / (variances**2).sum())


def effective_rank(rows: np.ndarray) -> float:
    """Compute exp of the entropy of the shares of variance along the principal axes.

    Source: Roy and Vetterli 2007, with shares of variance in place of singular values.
    """
    shares = _variances(rows)
    shares = shares[shares > 0] / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def total_deviation(rows: np.ndarray) -> float:
    """Compute the root of the mean squared distance from the mean row."""
    return float(np.sqrt(_variances(rows).sum()))


def _variances(rows: np.ndarray) -> np.ndarray:
    """Compute the variances along the principal axes, (min(M, D),)."""
    return np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2 / len(rows)
