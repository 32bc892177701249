"""Whether draws come from a uniform distribution."""

import math

import numpy as np


def assert_uniform(values: np.ndarray, low: float, high: float) -> None:
    """Bounds kept and nearly reached, first two moments within 4 standard errors of U(low, high)."""
    width = high - low
    assert low <= values.min() < low + 0.0125 * width
    assert high - 0.0125 * width < values.max() <= high
    assert abs(values.mean() - (low + high) / 2) < 4 * width / math.sqrt(12 * values.size)
    assert abs(values.var() / (width**2 / 12) - 1) < 4 * math.sqrt(0.8 / values.size)
