"""Growth of figures with one quantity of their setting: exponents by least squares on logarithms."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.harness.records import OUT_OF_MEMORY, parse_setting
from utils.csv_rows import Row

MIN_VALUES = 3


class Growth(NamedTuple):
    """`values` of one figure and side at each of `sizes` of the quantity `key`, with the others fixed at `rest`."""

    key: str
    rest: str
    figure: str
    side: str
    unit: str
    sizes: list[int]
    values: list[float]

    @property
    def exponent(self) -> float:
        """Exponent e of the best fit c * size^e."""
        return fit_exponent(self.sizes, self.values)


def fit_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit the slope of log(values) over log(sizes) by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def find_growth(rows: Iterable[Row], key: str) -> list[Growth]:
    """Return every figure and side at the setting with the most sizes of `key`, if it has at least MIN_VALUES.

    Args:
        rows: of one benchmark on one machine.
        key: a key of their settings whose values are whole numbers.
    """
    series: dict[tuple[str, ...], dict[int, float]] = defaultdict(dict)
    for row in rows:
        pairs = parse_setting(row["setting"])
        if key in pairs and row["value"] != OUT_OF_MEMORY:
            size = int(pairs.pop(key))
            rest = " ".join(f"{name} {value}" for name, value in pairs.items())
            series[rest, row["figure"], row["side"], row["unit"]][size] = float(row["value"])
    if not series:
        return []
    most = max(series, key=lambda name: len(series[name]))[0]
    return [
        Growth(key, rest, figure, side, unit, *map(list, zip(*sorted(values.items()))))
        for (rest, figure, side, unit), values in series.items()
        if rest == most and len(values) >= MIN_VALUES
    ]
