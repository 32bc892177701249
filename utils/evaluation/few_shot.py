"""Few-shot classification of frozen features by a linear SVM, as CrossPoint scores it, with all its constants.

An episode draws some classes, and from each of them support clouds, on which the SVM is fitted, and query clouds, on
which it is scored. Both come from the train split, and no cloud is both.

Letters: M clouds, D channels, S support clouds and Q query clouds of an episode, R episodes.
Source: CrossPoint (Afham et al. 2022, arXiv:2203.00680), its published code. Seeds are ours: it drew unseeded.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.protocol_score import check_features
from utils.evaluation.svm.linear_svm import standardised_svm

TASK = "few_shot"
WAYS, SHOTS = (5, 10), (10, 20)
NUM_QUERIES, NUM_RUNS = 20, 50
C = 1.0
_NORMAL_95 = 1.96  # standard errors on either side of a mean


class Setting(NamedTuple):
    """Numbers of classes in an episode, and of support and query clouds in each class."""

    num_ways: int
    num_shots: int
    num_queries: int

    def __str__(self) -> str:
        return f"{self.num_ways} way {self.num_shots} shot"


class Episode(NamedTuple):
    """Rows of a labelled set: support (S,) and query (Q,), int64, disjoint."""

    support: np.ndarray
    query: np.ndarray


class FewShotScore(NamedTuple):
    """Accuracy of each episode (R,), in [0, 1], and whether every fit converged."""

    accuracies: np.ndarray
    has_converged: bool

    def figures(self) -> dict[str, Any]:
        """Return what a record holds: mean, population deviation (as published), half the mean's 95 % interval.

        A single episode has no interval: None.
        """
        runs = len(self.accuracies)
        interval = _NORMAL_95 * float(self.accuracies.std(ddof=1)) / math.sqrt(runs) if runs > 1 else None
        return {
            "accuracy": float(self.accuracies.mean()),
            "accuracy_std": float(self.accuracies.std()),
            "accuracy_ci95": interval,
            "kernel": "linear",
            "c": C,
            "scaler": "StandardScaler fitted on support",
            "has_converged": self.has_converged,
        }


def usable_classes(labels: ArrayLike, setting: Setting) -> np.ndarray:
    """Return the classes with enough clouds for an episode, ascending.

    Args:
        labels: (M,) whole numbers >= 0.
    Raises:
        ValueError: fewer than the episode needs; suggests flags that work.
    """
    sizes = np.bincount(np.asarray(labels))
    needed = setting.num_shots + setting.num_queries
    classes = np.flatnonzero(sizes >= needed)
    if len(classes) >= setting.num_ways:
        return classes
    total = np.count_nonzero(sizes)
    problem = (
        f"{setting} with {setting.num_queries} queries a class needs {setting.num_ways} classes of at least "
        f"{needed} clouds, but {len(classes)} of the {total} classes are that large"
    )
    if total < setting.num_ways:
        raise ValueError(f"{problem}; pass --k_way {total} or less")
    possible = int(np.sort(sizes)[-setting.num_ways]) - setting.num_shots
    remedy = f"--n_query {possible} or less" if possible > 0 else "fewer shots"
    raise ValueError(f"{problem}; pass {remedy}, or fewer ways")


def draw_episode(labels: ArrayLike, setting: Setting, *, seed: int, run: int) -> Episode:
    """Draw episode number `run` of a setting, which depends on labels, setting, seed and number alone.

    Args:
        labels: (M,) whole numbers >= 0.
        seed, run: >= 0.
    Returns:
        Rows, class by class in the order drawn.
    Raises:
        ValueError: too few classes are large enough.
    """
    labels = np.asarray(labels)
    rng = np.random.default_rng((seed, *setting, run))
    classes = rng.choice(usable_classes(labels, setting), setting.num_ways, replace=False)
    size = setting.num_shots + setting.num_queries
    rows = np.stack([rng.choice(np.flatnonzero(labels == label), size, replace=False) for label in classes])
    support, query = np.split(rows, [setting.num_shots], axis=1)
    return Episode(support.ravel(), query.ravel())


def score_episodes(features: np.ndarray, labels: ArrayLike, episodes: Sequence[Episode]) -> FewShotScore:
    """Fit a linear SVM on each episode's standardised support, and score it on the query clouds.

    Args:
        features: (M, D), finite.
        labels: (M,) whole numbers.
        episodes: R of them, R >= 1, with at least 2 classes in the support of each.
    Raises:
        ValueError: features and labels that do not fit together.
    """
    ((rows, labels),) = check_features((features, labels))
    accuracies, has_converged = [], True
    for support, query in episodes:
        fit = standardised_svm(rows[support], labels[support], rows[query], c=C)
        accuracies.append(np.mean(fit.predicted == labels[query]))
        has_converged &= fit.has_converged
    return FewShotScore(np.array(accuracies), has_converged)
