"""Random choices of the shape families, drawn from one explicit generator."""

from collections.abc import Sequence

import numpy as np


class Dice:
    """The draws of one shape.

    Attributes:
        words: the words that were picked, in order: the kinds of the shape and of its parts.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.words: list[str] = []

    def between(self, low: float, high: float) -> float:
        """Draw uniformly from [low, high)."""
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """Draw a whole number uniformly, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, options: Sequence, weights: Sequence[float] | None = None):
        """Draw one of the options by weight, uniformly for None."""
        share = None if weights is None else np.asarray(weights, dtype=np.float64) / sum(weights)
        picked = options[int(self.rng.choice(len(options), p=share))]
        if isinstance(picked, str):
            self.words.append(picked)
        return picked
