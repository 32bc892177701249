import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from datasets.labelled.stratified import NEVER_HELD_OUT, stratified_folds
from tests.utils.evaluation.clustered import FeatureSets, make_features
from utils.evaluation.nearest_neighbour import knn_protocol
from utils.evaluation.svm import linear_svm
from utils.evaluation.svm.linear_svm import C_GRID, LinearProbe, cross_validate, fair_protocol, published_protocol


@pytest.fixture(scope="module")
def sets() -> FeatureSets:
    return make_features()


@pytest.mark.parametrize("options", [{}, {"c": 0.001}, {"c": 3.0}])
def test_published_protocol_predicts_what_the_linear_kernel_predicts_by_default_with_c_0_1(sets, options):
    c = options.get("c", 0.1)
    plain = SVC(kernel="linear", C=c).fit(sets.train_features, sets.train_labels)
    result = published_protocol(*sets, **options)
    assert np.array_equal(result.predicted, plain.predict(sets.test_features))
    assert result.accuracy == plain.score(sets.test_features, sets.test_labels)
    assert result.constants == {"kernel": "linear", "c": c, "scaler": "none", "has_converged": True}


def test_fair_protocol_predicts_what_a_standardised_linear_kernel_predicts(sets):
    result = fair_protocol(*sets)
    plain = make_pipeline(StandardScaler(), SVC(kernel="linear", C=result.constants["c"]))
    plain.fit(sets.train_features.astype(np.float64), sets.train_labels)
    assert np.array_equal(result.predicted, plain.predict(sets.test_features.astype(np.float64)))


def test_cross_validation_equals_a_pipeline_fitted_in_each_fold(sets):
    features, labels = sets.train_features[:90].astype(np.float64), sets.train_labels[:90]
    fold = stratified_folds(labels, 5, seed=3)
    slow = []
    for c in C_GRID:
        pipeline = make_pipeline(StandardScaler(), SVC(kernel="linear", C=c))
        shares = cross_val_score(pipeline, features, labels, cv=PredefinedSplit(fold))  # -1 is never held out there too
        slow.append(np.average(shares, weights=np.bincount(fold[fold != NEVER_HELD_OUT])))
    assert_allclose(cross_validate(features, labels, seed=3), slow)
    assert len(set(slow)) > 3


def test_fair_protocol_takes_the_smallest_of_the_best_constants():
    constants = fair_protocol(*make_features(spread=0.1)).constants
    best = [c for c, value in zip(C_GRID, constants["cv_accuracies"]) if value == max(constants["cv_accuracies"])]
    assert len(best) > 1
    assert constants["c"] == best[0]


def test_fair_protocol_does_not_choose_by_the_test_split(sets):
    shuffled = sets._replace(test_features=sets.test_features[::-1], test_labels=np.zeros_like(sets.test_labels))
    assert fair_protocol(*shuffled).constants == fair_protocol(*sets).constants


def test_fair_protocol_does_not_depend_on_the_scale_of_a_feature(sets):
    scale = 2.0 ** np.random.default_rng(1).integers(-9, 9, sets.train_features.shape[1])
    scaled = sets._replace(train_features=sets.train_features * scale, test_features=sets.test_features * scale)
    assert np.array_equal(fair_protocol(*scaled).predicted, fair_protocol(*sets).predicted)
    assert not np.array_equal(published_protocol(*scaled).predicted, published_protocol(*sets).predicted)


def test_classes_of_one_and_two_rows_are_cross_validated_without_a_warning():
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 1, 1, 2, 3, 3, 3])
    rows = rng.normal(size=(8, 5)) + 4 * labels[:, None]
    assert 0 <= fair_protocol(rows, labels, rows, labels).accuracy <= 1


def test_a_train_split_of_single_rows_cannot_be_cross_validated():
    rows = np.eye(3)
    with pytest.raises(ValueError, match="a class with at least 2 train clouds; use --protocol published"):
        fair_protocol(rows, [0, 1, 2], rows, [0, 1, 2])


def test_a_constant_feature_is_harmless():
    sets = make_features(num_train=53)
    dead = [np.hstack([rows, np.full((len(rows), 1), 7.0)]) for rows in (sets.train_features, sets.test_features)]
    padded = FeatureSets(dead[0], sets.train_labels, dead[1], sets.test_labels)
    assert np.array_equal(fair_protocol(*padded).predicted, fair_protocol(*sets).predicted)


def test_a_fit_that_would_not_end_is_stopped_and_marked(sets, monkeypatch):
    monkeypatch.setattr(linear_svm, "MAX_STEPS", 3)
    assert published_protocol(*sets).constants["has_converged"] is False
    assert fair_protocol(*sets).constants["has_converged"] is False


@pytest.mark.parametrize("c", [0.0, -1.0])
def test_a_constant_that_is_not_positive_is_refused(sets, c):
    with pytest.raises(ValueError, match="C of a linear SVM must be > 0"):
        published_protocol(*sets, c=c)


@pytest.mark.parametrize("protocol", [published_protocol, fair_protocol, knn_protocol])
def test_sets_that_do_not_fit_are_refused(sets, protocol):
    with pytest.raises(ValueError, match="different widths"):
        protocol(*sets._replace(test_features=sets.test_features[:, 1:]))
    with pytest.raises(ValueError, match="expected features"):
        protocol(*sets._replace(train_labels=sets.train_labels[1:]))
    with pytest.raises(ValueError, match="single class 5"):
        protocol(*sets._replace(train_labels=np.full_like(sets.train_labels, 5)))


class FirstPoint(nn.Module):
    """Feature: the first point of each cloud, scaled."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.01))

    def forward(self, points):
        return points[:, 0] * self.scale


def probe() -> LinearProbe:
    """Three classes of clouds whose first points lie apart; validation repeats train."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    points = rng.normal(size=(60, 4, 3)) * 0.1 + np.eye(3)[labels][:, None]
    return LinearProbe(points[:40], labels[:40], points[40:], labels[40:], "toy", batch_size=16)


def test_the_probe_scores_held_out_clouds_under_its_own_key_and_leaves_the_encoder_in_training_mode():
    encoder = FirstPoint().train()
    assert probe()(encoder) == {"svm/toy_val": 1.0}
    assert encoder.training
