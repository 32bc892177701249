"""Cosine nearest neighbour against a slow loop."""

import numpy as np
import pytest

from tests.utils.evaluation.clustered import make_features
from utils.evaluation import nearest_neighbour
from utils.evaluation.nearest_neighbour import knn_protocol


def slow_predictions(train, labels, test):
    """One cosine at a time, first of the largest."""
    predicted = []
    for row in test.astype(np.float64):
        cosines = [row @ other / np.linalg.norm(row) / np.linalg.norm(other) for other in train.astype(np.float64)]
        predicted.append(labels[int(np.argmax(cosines))])
    return predicted


def test_equals_a_slow_loop_in_blocks_of_any_size(monkeypatch):
    sets = make_features(num_train=97, num_test=37)
    monkeypatch.setattr(nearest_neighbour, "_ROWS_AT_ONCE", 7)
    result = knn_protocol(*sets)
    slow = slow_predictions(sets.train_features, sets.train_labels, sets.test_features)
    assert result.predicted.tolist() == slow
    assert result.accuracy == np.mean(sets.test_labels == slow)


def test_length_of_a_feature_does_not_matter():
    sets = make_features(num_train=97, num_test=37)
    stretched = sets._replace(train_features=sets.train_features * np.arange(1, 1 + len(sets.train_features))[:, None])
    assert np.array_equal(knn_protocol(*stretched).predicted, knn_protocol(*sets).predicted)


def test_a_train_row_finds_itself():
    sets = make_features(num_train=97)
    assert knn_protocol(sets.train_features, sets.train_labels, *sets[:2]).accuracy == 1.0


def test_a_zero_feature_takes_the_first_label_without_a_warning():
    assert knn_protocol(np.eye(3), [2, 1, 0], np.zeros((1, 3)), [2]).accuracy == 1.0


def test_widths_that_differ_are_refused():
    with pytest.raises(ValueError, match="different widths"):
        knn_protocol(np.eye(3), [2, 1, 0], np.zeros((1, 2)), [2])
