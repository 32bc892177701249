"""Selection of the pairs of a shape that a step contrasts.

Source: the three modes of the published code of arXiv:2210.15904.
"""

import numpy as np

SELECTIONS = ("random", "fps", "sps")


def select_pairs(
    rows: np.ndarray, count: int, selection: str, rng: np.random.Generator, rank: np.ndarray | None = None
) -> np.ndarray:
    """Select `count` pairs; rows are repeated only where there are fewer.

    "random" draws rows. "fps" takes all pixels of one point after another, in farthest-point order. "sps" takes one
    pixel of each point in that order, then a second one of each that has it, and so on. Among the pixels of a point the
    choice is random.

    Args:
        rows: (R, 4) of (view, row, column, point), R >= 1.
        count: P.
        rank: (N,) place of every point in the farthest-point order; needed by fps and sps.
    Returns:
        (P, 4) rows.
    """
    if len(rows) < count:
        repeats = -(-count // len(rows))
        whole = np.concatenate([rng.permutation(rows) for _ in range(repeats - 1)])
        return np.concatenate([whole, select_pairs(rows, count - len(whole), selection, rng, rank)])
    if selection == "random":
        return rows[rng.choice(len(rows), count, replace=False)]
    shuffled = rng.permutation(rows)
    place = rank[shuffled[:, 3]]
    order = np.argsort(place, kind="stable")
    if selection == "sps":
        turn = _turns(place[order])
        order = order[np.argsort(turn, kind="stable")]  # within a turn the farthest-point order stays
    return shuffled[order[:count]]


def _turns(sorted_values: np.ndarray) -> np.ndarray:
    """Number the members of each run of equal values from 0. Shape: (R,) -> (R,)."""
    is_first = np.concatenate([[True], sorted_values[1:] != sorted_values[:-1]])
    starts = np.flatnonzero(is_first)
    return np.arange(len(sorted_values)) - starts[np.cumsum(is_first) - 1]
