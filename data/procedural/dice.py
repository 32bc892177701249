"""Readable random choices for the shape families, all from one explicit generator."""

from collections.abc import Sequence

import numpy as np


class Dice:
    """Draws of one shape."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """Uniform whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, options: Sequence, weights: Sequence[float] | None = None):
        """One of the options, by weight (equal when None)."""
        share = None if weights is None else np.asarray(weights, dtype=np.float64) / sum(weights)
        return options[int(self.rng.choice(len(options), p=share))]
