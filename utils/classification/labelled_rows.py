"""The labelled clouds of a fine-tuning: which rows of a train split are trained on, and which choose the epoch."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from datasets.labelled.stratified import stratified_split, stratified_subset
from utils.settings import flag
from utils.training.finetuning import LabelFraction


@dataclass(frozen=True)
class LabelSettings(LabelFraction):
    """Which labels are seen, and which of them choose the epoch."""

    val_fraction: float = flag(0.1, "share of the labelled clouds held out", above=0, below=1)
    select: str | None = flag(
        None,
        "the epoch that is kept and tested (default: val where each class has 1 / val_fraction labelled clouds, "
        "else last, which holds none out)",
        choices=("val", "last"),
    )
    num_classes: int | None = flag(None, "refuse a set with another number of classes")


class LabelledRows(NamedTuple):
    """Rows of a train split that are trained on, and those that choose the epoch: none where the last one is kept."""

    fit: np.ndarray
    val: np.ndarray


def choose_rows(labels: ArrayLike, settings: LabelSettings, seed: int) -> LabelledRows:
    """Draw the labelled clouds, then the validation clouds from among them; no other label is ever used.

    Args:
        labels: (M,) of the train split.
        seed: of both draws; the labelled clouds of a smaller fraction are among those of a larger one.
    Raises:
        ValueError: a single class, or --select val where no class has two labelled clouds.
    """
    labels, select = np.asarray(labels), settings.select
    rows = stratified_subset(labels, settings.label_fraction, seed)
    counts = np.unique(labels[rows], return_counts=True)[1]
    if len(counts) < 2:
        raise ValueError("the train split has a single class; a classifier needs at least 2")
    if select is None:
        select = "val" if counts.min() >= 1 / settings.val_fraction else "last"
    if select == "last":
        return LabelledRows(rows, rows[:0])
    fit, val = stratified_split(labels[rows], val_fraction=settings.val_fraction, seed=seed)
    if len(val) == 0:
        raise ValueError(
            f"--select val finds nothing to hold out: {len(rows)} labelled clouds, one of each class; pass --select "
            "last or a larger --label_fraction"
        )
    return LabelledRows(rows[fit], rows[val])
