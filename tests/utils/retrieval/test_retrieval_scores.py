import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from utils.retrieval import retrieval_scores as R


def unit_rows(rng, number, width=5):
    rows = rng.normal(size=(number, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def example(num_queries=23, num_gallery=31, num_shapes=7, num_categories=3, seed=0):
    """Every shape occurs in both; shape s is of category s % 3."""
    rng = np.random.default_rng(seed)
    sides = []
    for number in (num_queries, num_gallery):
        shape = rng.permutation(np.arange(number) % num_shapes)
        sides.append(R.Embedded(unit_rows(rng, number), shape, shape % num_categories))
    return sides


@pytest.mark.parametrize("rows_at_once", [7, 512])
def test_scores_equal_a_loop_over_queries_and_scikit_learns_average_precision(rows_at_once, monkeypatch):
    monkeypatch.setattr(R, "_ROWS_AT_ONCE", rows_at_once)
    query, gallery = example()
    score = R.score_retrieval(query, gallery)
    first, precision, nearest = [], [], []
    for embedding, shape, category in zip(*query):
        similarity = gallery.embedding @ embedding
        first.append(gallery.shape[np.argsort(-similarity)].tolist().index(shape))
        precision.append(average_precision_score(gallery.category == category, similarity))
        nearest.append((gallery.category == category)[np.argsort(-similarity)])
    assert score.recall == {k: pytest.approx(np.mean([rank < k for rank in first])) for k in (1, 5, 10)}
    assert score.map == pytest.approx(np.mean(precision))
    assert score.precision == {k: pytest.approx(np.mean([row[:k] for row in nearest])) for k in (1, 10)}
    assert score.chance_precision == pytest.approx(np.mean(nearest))
    assert (score.num_queries, score.num_gallery) == (23, 31)


def test_of_equal_similarities_the_first_entry_is_ranked_first():
    same = np.ones((5, 2), dtype=np.float32) / math.sqrt(2)
    side = R.Embedded(same, np.arange(5), np.zeros(5, dtype=int))
    assert R.score_retrieval(side, side).recall[1] == pytest.approx(1 / 5)


@pytest.mark.parametrize(("size", "num_same", "k"), [(7, 2, 1), (7, 2, 3), (7, 3, 5), (5, 1, 10)])
def test_chance_recall_is_the_share_of_all_draws(size, num_same, k):
    draws = list(itertools.combinations(range(size), min(k, size)))
    share = np.mean([min(draw) < num_same for draw in draws])
    assert R.chance_recall(size, num_same, k) == pytest.approx(share)


@pytest.mark.parametrize(("size", "num_relevant"), [(7, 3), (7, 1), (5, 5), (1, 1)])
def test_chance_precision_is_the_mean_over_all_orders(size, num_relevant):
    precisions = []
    for places in itertools.combinations(range(1, size + 1), num_relevant):
        precisions.append(np.mean([found / rank for found, rank in enumerate(places, 1)]))
    assert R.chance_precision(size, num_relevant) == pytest.approx(np.mean(precisions))


def test_chance_of_a_score_is_the_mean_over_its_queries():
    query, gallery = example()
    score = R.score_retrieval(query, gallery)
    same = [np.count_nonzero(gallery.shape == shape) for shape in query.shape]
    relevant = [np.count_nonzero(gallery.category == category) for category in query.category]
    assert score.chance_recall[5] == pytest.approx(np.mean([R.chance_recall(31, number, 5) for number in same]))
    assert score.chance_map == pytest.approx(np.mean([R.chance_precision(31, number) for number in relevant]))


def test_random_embeddings_score_near_chance():
    query, gallery = example(num_queries=1999, num_gallery=101, num_shapes=17, num_categories=17)
    score = R.score_retrieval(query._replace(embedding=unit_rows(np.random.default_rng(1), 1999)), gallery)
    assert score.recall[1] == pytest.approx(score.chance_recall[1], abs=0.03)
    assert score.map == pytest.approx(score.chance_map, abs=0.03)


def test_what_cannot_be_scored_is_refused():
    query, gallery = example()
    with pytest.raises(ValueError, match="not in the gallery"):
        R.score_retrieval(query._replace(shape=query.shape + 1), gallery)
    with pytest.raises(ValueError, match="widths 4 and 5"):
        R.score_retrieval(query._replace(embedding=query.embedding[:, :4]), gallery)
    with pytest.raises(ValueError, match="0 queries"):
        R.score_retrieval(R.Embedded(*(part[:0] for part in query)), gallery)


def test_a_record_is_flat_and_holds_every_figure():
    record = R.retrieval_record(R.score_retrieval(*example()), "image_to_shape", model="dgcnn")
    assert record.keys() >= {"recall_1", "recall_5", "recall_10", "map", "chance", "num_queries", "num_gallery"}
    assert (record["task"], record["protocol"], record["model"]) == ("retrieval", "image_to_shape", "dgcnn")
    assert record["chance"] == record["chance_recall_1"] < record["chance_recall_10"]
