import numpy as np
import pytest

from tests.utils.evaluation.clustered import make_features
from utils.evaluation.svm import linear_svm
from utils.evaluation.svm.fair_cv import fair_cv_protocol, left_out_words
from utils.evaluation.svm.linear_svm import fair_protocol, held_out_rows


@pytest.fixture(autouse=True)
def short_grid(monkeypatch):
    monkeypatch.setattr(linear_svm, "C_GRID", (1e-3, 1e-1))


def test_a_row_is_labelled_by_the_fair_svm_of_the_other_folds_whatever_its_own_label():
    features, labels, *_ = make_features(num_train=60, num_classes=3, width=11)
    result = fair_cv_protocol(features, labels, seed=3)
    is_out = next(held_out_rows(labels, 3))
    alone = fair_protocol(features[~is_out], labels[~is_out], features[is_out], labels[is_out], seed=3)
    assert result.predicted[is_out].tolist() == alone.predicted.tolist()
    assert result.accuracy == np.mean(result.predicted == labels)
    assert (result.constants["num_scored"], len(result.constants["c_of_folds"])) == (63, 5)


def test_the_only_row_of_a_class_is_not_scored():
    features, labels, *_ = make_features(num_train=30, num_classes=2, width=11)
    labels[7] = 9
    result = fair_cv_protocol(features, labels)
    assert result.constants["num_scored"] == len(result.predicted) == len(labels) - 1


def test_classes_of_one_cloud_each_are_refused_where_fewer_than_two_others_are_left():
    features, labels = np.eye(11), np.array([0] * 6 + [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="needs at least 2 classes with 2 clouds or more, got 1, and 5 with a single"):
        fair_cv_protocol(features, labels)
    assert fair_cv_protocol(features, np.append(labels[:-1], 4)).constants["num_scored"] == 8


def test_words_on_what_was_scored_are_there_only_where_something_was_not():
    assert left_out_words(8, 11) == "8 of 11 scored: the only one of a class cannot be held out"
    assert left_out_words(11, 11) == ""
