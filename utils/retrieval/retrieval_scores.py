"""Scores of retrieval: recall at k of the same shape, precision at k and on average of the same category."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

TASK = "retrieval"
RANKS = (1, 5, 10)
PRECISION_RANKS = (1, 10)
_ROWS_AT_ONCE = 512


class Embedded(NamedTuple):
    """Rows to compare: unit embeddings (M, D), the shape (M,) of each, and the category (M,) of that shape."""

    embedding: np.ndarray
    shape: np.ndarray
    category: np.ndarray


class RetrievalScore(NamedTuple):
    """Figures in [0, 1], and the expected figures of a random order.

    `recall[k]` is the share of queries with an entry of the same shape among the k nearest; `map` is the mean average
    precision where every entry of the query's category is relevant, `precision[k]` their share among the k nearest.
    """

    recall: dict[int, float]
    map: float
    precision: dict[int, float]
    chance_recall: dict[int, float]
    chance_map: float
    chance_precision: float
    num_queries: int
    num_gallery: int


def score_retrieval(query: Embedded, gallery: Embedded) -> RetrievalScore:
    """Rank the gallery for each query by cosine, of equal cosines in gallery order, and score the ranks.

    Raises:
        ValueError: nothing to compare, widths differ, or the gallery lacks the shape or category of a query.
    """
    if not len(query.shape) or not len(gallery.shape):
        raise ValueError(f"{len(query.shape)} queries and {len(gallery.shape)} entries: retrieval needs both")
    if query.embedding.shape[1] != gallery.embedding.shape[1]:
        raise ValueError(f"embeddings of widths {query.embedding.shape[1]} and {gallery.embedding.shape[1]}")
    blocks = [_score_block(*block) for block in _ranked(query, gallery)]
    first, average, num_same, num_relevant, *found = (np.concatenate(values) for values in zip(*blocks))
    size = len(gallery.shape)
    return RetrievalScore(
        {k: float(np.mean(first < k)) for k in RANKS},
        float(average.mean()),
        {k: float(np.mean(number) / min(k, size)) for k, number in zip(PRECISION_RANKS, found)},
        {k: float(np.mean([chance_recall(size, same, k) for same in num_same])) for k in RANKS},
        float(np.mean([chance_precision(size, relevant) for relevant in num_relevant])),
        float(np.mean(num_relevant) / size),
        len(query.shape),
        size,
    )


def _ranked(query: Embedded, gallery: Embedded) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for m queries at a time and in ranked order, (m, M) bool: same shape as the query, same category."""
    for start in range(0, len(query.shape), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        order = np.argsort(-(query.embedding[rows] @ gallery.embedding.T), axis=1, kind="stable")
        is_same = gallery.shape[order] == query.shape[rows, None]
        is_relevant = gallery.category[order] == query.category[rows, None]
        if not (is_same.any(axis=1) & is_relevant.any(axis=1)).all():
            raise ValueError("a query's own shape or category is not in the gallery: its recall means nothing")
        yield is_same, is_relevant


def _score_block(is_same: np.ndarray, is_relevant: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the rank of the first entry of the same shape, average precision, and numbers of same and relevant ones.

    Then come the numbers of relevant ones among the nearest, for each of PRECISION_RANKS. Each is (m,).
    """
    num_relevant = is_relevant.sum(axis=1)
    precision = is_relevant.cumsum(axis=1) / np.arange(1, is_relevant.shape[1] + 1)
    average = (precision * is_relevant).sum(axis=1) / num_relevant
    found = [is_relevant[:, :k].sum(axis=1) for k in PRECISION_RANKS]
    return is_same.argmax(axis=1), average, is_same.sum(axis=1), num_relevant, *found


def chance_recall(size: int, num_same: int, k: int) -> float:
    """Compute the probability that k of `size` entries drawn at random include one of `num_same`."""
    missed = np.arange(min(k, size))
    return float(1 - np.prod(np.maximum(size - num_same - missed, 0) / (size - missed)))


def chance_precision(size: int, num_relevant: int) -> float:
    """Compute the expected average precision of a random order of `size` entries with `num_relevant` >= 1 of them."""
    harmonic = float(np.sum(1 / np.arange(1, size + 1)))
    others = (num_relevant - 1) / (size - 1) if size > 1 else 0.0
    return (harmonic + others * (size - harmonic)) / size


def retrieval_record(score: RetrievalScore, protocol: str, **constants: Any) -> dict[str, Any]:
    """Make one object of a report's `results`; constants are JSON values of the networks and the data."""
    return {
        "task": TASK,
        "protocol": protocol,
        **{f"recall_{k}": value for k, value in score.recall.items()},
        "map": score.map,
        **{f"precision_{k}": value for k, value in score.precision.items()},
        "chance": score.chance_recall[1],
        **{f"chance_recall_{k}": value for k, value in score.chance_recall.items()},
        "chance_map": score.chance_map,
        "chance_precision": score.chance_precision,
        "num_queries": score.num_queries,
        "num_gallery": score.num_gallery,
        **constants,
    }
