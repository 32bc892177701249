"""SVMs with an RBF kernel: those of sklearn, and the choice of gamma and C."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.svm import SVC

from datasets.labelled.stratified import stratified_folds
from tests.utils.evaluation.clustered import FeatureSets, make_features
from utils.evaluation.protocols import GROUPS, run_protocols
from utils.evaluation.svm import rbf_svm
from utils.evaluation.svm.linear_svm import NUM_FOLDS
from utils.evaluation.svm.rbf_svm import (
    C_GRID,
    GAMMA_GRID,
    cross_validate,
    rbf_grid_protocol,
    rbf_protocol,
    squared_distances,
)


@pytest.fixture(scope="module")
def sets() -> FeatureSets:
    """Features of a size at which the grid's gammas differ, few enough for a grid of whole fits."""
    made = make_features(num_train=60, num_test=40, width=17, num_classes=4)
    return made._replace(train_features=made.train_features / 10, test_features=made.test_features / 10)


@pytest.mark.parametrize("scale", [1, 100])
def test_rbf_predicts_what_sklearn_does_by_default(sets, scale):
    sets = sets._replace(train_features=sets.train_features * scale, test_features=sets.test_features * scale)
    plain = SVC().fit(sets.train_features.astype(np.float64), sets.train_labels)
    result = rbf_protocol(*sets)
    assert np.array_equal(result.predicted, plain.predict(sets.test_features.astype(np.float64)))
    assert (result.task, result.protocol, result.constants["c"]) == ("rbf_svm", "rbf", 1.0)
    assert result.constants["gamma"] == pytest.approx(plain._gamma)


def test_the_grid_is_that_of_the_published_protocol():
    assert_allclose(GAMMA_GRID, [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 50])
    assert_allclose(C_GRID, [0.1, 0.5, 1, 5, 10, 50, 100, 500, 1000, 5000])


def test_the_grid_is_searched_as_sklearn_searches_it_on_train_alone(sets, monkeypatch):
    gammas, cs = (0.001, 0.01, 0.1), (0.1, 1.0, 50.0)
    monkeypatch.setattr(rbf_svm, "GAMMA_GRID", gammas)
    monkeypatch.setattr(rbf_svm, "C_GRID", cs)
    features, labels = sets.train_features.astype(np.float64), sets.train_labels
    folds = PredefinedSplit(stratified_folds(labels, NUM_FOLDS, seed=3))
    slow = GridSearchCV(SVC(), {"gamma": gammas, "C": cs}, cv=folds, refit=False).fit(features, labels)
    sizes = np.array([len(held_out) for _, held_out in folds.split()])
    shares = np.stack([slow.cv_results_[f"split{i}_test_score"] for i in range(NUM_FOLDS)])
    expected = (sizes @ shares / sizes.sum()).reshape(len(cs), len(gammas)).T
    accuracies = cross_validate(squared_distances(features, features), labels, seed=3)
    assert_allclose(accuracies, expected)
    best = [(cs[j], gammas[i]) for j, i in np.argwhere(accuracies.max() == accuracies.T)]
    assert len(np.unique(accuracies)) > 3
    result = rbf_grid_protocol(*sets, seed=3)
    assert (result.constants["c"], result.constants["gamma"]) == best[0]
    assert result.constants["cv_accuracy"] == pytest.approx(accuracies.max(), abs=1e-6)
    c, gamma = best[0]
    plain = SVC(C=c, gamma=gamma).fit(features, labels)
    assert np.array_equal(result.predicted, plain.predict(sets.test_features.astype(np.float64)))


def test_the_three_run_by_name_and_linear_c1_is_the_unscaled_linear_svm_of_c_1(sets):
    scores = run_protocols(*sets, protocols=GROUPS["multiview"], c=0.3)
    assert [(one.task, one.protocol) for one in scores] == [
        ("linear_svm", "linear_c1"),
        ("rbf_svm", "rbf"),
        ("rbf_svm", "rbf_grid"),
    ]
    plain = SVC(kernel="linear").fit(sets.train_features.astype(np.float64), sets.train_labels)
    assert np.array_equal(scores[0].predicted, plain.predict(sets.test_features.astype(np.float64)))
    assert scores[0].constants["c"] == 1.0


def test_equal_train_rows_and_rows_of_which_none_can_be_held_out():
    rows = np.ones((4, 3))
    assert rbf_protocol(rows, [0, 0, 1, 1], rows, [0, 0, 1, 1]).constants["gamma"] == 1.0
    with pytest.raises(ValueError, match="a class with at least 2 train clouds"):
        rbf_grid_protocol(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2])
