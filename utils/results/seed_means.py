"""Mean and spread of a figure, with seeds of pre-training kept apart from seeds of evaluation.

A seed of pre-training decides the weights of the encoder: the initial ones of a random encoder, the checkpoint of a
pre-trained one. A seed of evaluation decides what is drawn afterwards: episodes, folds of a cross-validation, and in
fine-tuning and part segmentation the labelled clouds, the head's weights and the order of batches.
"""

from collections.abc import Hashable, Sequence
from math import sqrt
from statistics import mean, stdev, variance
from typing import NamedTuple

OF_EVALUATION = "†"  # marks a spread over evaluations of a single encoder
MARK_NOTE = f"{OF_EVALUATION} spread over seeds of evaluation of a single pre-training"


class SeedFigure(NamedTuple):
    """One figure, and which weights and which seed of evaluation it was measured with."""

    weights: Hashable
    evaluation: Hashable
    value: float


class SeedMean(NamedTuple):
    """`spread`: sample standard deviation, None of a single figure. `num_evaluations`: of each encoder, "1 to 3"."""

    mean: float
    spread: float | None
    is_of_evaluation: bool
    num_weights: int
    num_evaluations: str


def seed_mean(figures: Sequence[SeedFigure]) -> SeedMean:
    """Average over encoders, each averaged over its evaluations first; of a single encoder over its evaluations.

    Raises:
        ValueError: no figure.
    """
    units, groups = _units(figures), _by_weights(figures).values()
    counts = sorted({len(group) for group in groups})
    return SeedMean(
        mean=mean(mean(figure.value for figure in group) for group in groups),
        spread=stdev(value for _, value in units) if len(units) > 1 else None,
        is_of_evaluation=len(groups) == 1 < len(units),
        num_weights=len(groups),
        num_evaluations=" to ".join(dict.fromkeys((str(counts[0]), str(counts[-1])))),
    )


def gain_error(random: Sequence[SeedFigure], pretrained: Sequence[SeedFigure]) -> float | None:
    """Standard error of the mean gain; None unless both sides have several encoders or several evaluations of one.

    Where each unit of one side has its counterpart with the same seeds of evaluation, it is the error of those
    differences: the same episodes, or the same labels, order and head, move both figures alike.
    """
    sides = [_units(figures) for figures in (random, pretrained)]
    if min(map(len, sides)) < 2:
        return None
    first, second = map(dict, sides)
    if first.keys() == second.keys() and len(first) == len(sides[0]) == len(sides[1]):
        return stdev(second[key] - value for key, value in first.items()) / sqrt(len(first))
    return sqrt(sum(variance(value for _, value in units) / len(units) for units in sides))


def _by_weights(figures: Sequence[SeedFigure]) -> dict[Hashable, list[SeedFigure]]:
    found: dict[Hashable, list[SeedFigure]] = {}
    for figure in figures:
        found.setdefault(figure.weights, []).append(figure)
    return found


def _units(figures: Sequence[SeedFigure]) -> list[tuple[frozenset, float]]:
    """What a spread is taken over, with its seeds of evaluation: the encoders, or the evaluations of a single one."""
    by_weights = _by_weights(figures)
    groups = list(by_weights.values()) if len(by_weights) > 1 else [[figure] for figure in figures]
    return [
        (frozenset(figure.evaluation for figure in group), mean(figure.value for figure in group)) for group in groups
    ]
