"""The protocols that score frozen features on the test split of a labelled set, by name."""

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.nearest_neighbour import knn_protocol
from utils.evaluation.protocol_score import Score
from utils.evaluation.svm.linear_svm import PUBLISHED_C, fair_protocol, published_protocol
from utils.evaluation.svm.rbf_svm import rbf_grid_protocol, rbf_protocol

PROTOCOLS = ("published", "fair", "knn")
MULTIVIEW_PROTOCOLS = ("linear_c1", "rbf", "rbf_grid")  # of selfsup_pcd (Tran et al. 2022, arXiv:2210.15904)
GROUPS = {"all": PROTOCOLS, "multiview": MULTIVIEW_PROTOCOLS}


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
        protocols: names out of PROTOCOLS and MULTIVIEW_PROTOCOLS.
        seed: of the folds of the protocols that choose a constant.
    Raises:
        ValueError: a protocol is unknown, or refuses the sets.
    """
    sets = (train_features, train_labels, test_features, test_labels)
    run = {
        "published": lambda: published_protocol(*sets, c=c),
        "fair": lambda: fair_protocol(*sets, seed=seed),
        "knn": lambda: knn_protocol(*sets),
        "linear_c1": lambda: published_protocol(*sets, c=1.0)._replace(protocol="linear_c1"),
        "rbf": lambda: rbf_protocol(*sets),
        "rbf_grid": lambda: rbf_grid_protocol(*sets, seed=seed),
    }
    unknown = sorted(set(protocols) - run.keys())
    if unknown:
        raise ValueError(f"unknown protocol {unknown[0]!r}; choose from {', '.join(run)}")
    return [run[name]() for name in protocols]
