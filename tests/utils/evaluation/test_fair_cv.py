import numpy as np
import pytest

from tests.utils.evaluation.clustered import make_features
from utils.evaluation.svm import linear_svm
from utils.evaluation.svm.fair_cv import fair_cv_protocol
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
