"""The protocols that score frozen features on the test split of a labelled set, by name."""

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.linear_svm import PUBLISHED_C, fair_protocol, published_protocol
from utils.evaluation.nearest_neighbour import knn_protocol
from utils.evaluation.protocol_score import Score

PROTOCOLS = ("published", "fair", "knn")


def run_protocols(
    train_features: np.ndarray,
    train_labels: ArrayLike,
    test_features: np.ndarray,
    test_labels: ArrayLike,
    *,
    protocols: tuple[str, ...] = PROTOCOLS,
    c: float = PUBLISHED_C,
    seed: int = 0,
) -> list[Score]:
    """Run `protocols` on train and test features; return one score for each, in that order.

    Args, beside those of `published_protocol`:
        protocols: names out of PROTOCOLS.
        seed: of the fair protocol's folds.
    Raises:
        ValueError: a protocol is unknown, or refuses the sets.
    """
    sets = (train_features, train_labels, test_features, test_labels)
    run = {
        "published": lambda: published_protocol(*sets, c=c),
        "fair": lambda: fair_protocol(*sets, seed=seed),
        "knn": lambda: knn_protocol(*sets),
    }
    unknown = sorted(set(protocols) - run.keys())
    if unknown:
        raise ValueError(f"unknown protocol {unknown[0]!r}; choose from {', '.join(PROTOCOLS)}")
    return [run[name]() for name in protocols]
