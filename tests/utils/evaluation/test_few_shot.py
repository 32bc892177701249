import statistics

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.utils.evaluation.clustered import make_features
from utils.evaluation.few_shot import FewShotScore, Setting, draw_episode, score_episodes, usable_classes
from utils.evaluation.svm import linear_svm

SETTING = Setting(num_ways=3, num_shots=5, num_queries=7)
LABELS = np.repeat(np.arange(7), [12, 40, 11, 13, 0, 17, 29])  # class 2 is too small by one, class 4 empty


def draw(run=0, *, seed=0, setting=SETTING, labels=LABELS):
    return draw_episode(labels, setting, seed=seed, run=run)


def test_an_episode_is_scored_as_by_a_pipeline_fitted_on_its_support():
    sets = make_features(num_train=900)
    features, labels = sets.train_features.astype(np.float64), sets.train_labels
    episodes = [draw(run, labels=labels, setting=Setting(5, 10, 7)) for run in range(11)]
    slow = []
    for support, query in episodes:
        pipeline = make_pipeline(StandardScaler(), SVC(kernel="linear", C=1)).fit(features[support], labels[support])
        slow.append(pipeline.score(features[query], labels[query]))
    score = score_episodes(sets.train_features, labels, episodes)
    assert score.accuracies.tolist() == slow
    assert score.has_converged
    assert len(set(slow)) > 3


def test_support_and_query_are_disjoint_as_large_as_the_setting_says_and_of_every_class_that_is_large_enough():
    drawn = set()
    for run in range(40):
        support, query = draw(run)
        assert len(np.unique(np.concatenate([support, query]))) == 3 * (5 + 7)
        classes, shots = np.unique(LABELS[support], return_counts=True)
        asked, queries = np.unique(LABELS[query], return_counts=True)
        assert np.array_equal(classes, asked)
        assert (shots.tolist(), queries.tolist()) == ([5] * 3, [7] * 3)
        drawn |= set(classes)
    assert drawn == set(usable_classes(LABELS, SETTING)) == {0, 1, 3, 5, 6}


def test_an_episode_is_its_settings_seeds_and_numbers_alone():
    assert np.array_equal(draw(3).support, draw(3).support)
    others = [draw(4), draw(3, seed=1), draw(3, setting=SETTING._replace(num_queries=6))]
    assert all(not np.array_equal(draw(3).support, other.support) for other in others)


@pytest.mark.parametrize(
    "setting, expected",
    [
        (Setting(7, 5, 7), "7 way 5 shot with 7 queries a class needs 7 classes of at least 12 clouds, but 5 of the 6"),
        (Setting(7, 5, 7), "pass --k_way 6 or less"),
        (Setting(5, 5, 9), "pass --n_query 7 or less"),
        (Setting(6, 11, 1), "pass fewer shots, or fewer ways"),
    ],
)
def test_too_few_large_classes_are_refused_with_what_would_do(setting, expected):
    with pytest.raises(ValueError, match=expected):
        usable_classes(LABELS, setting)


def test_figures_are_the_mean_the_population_deviation_and_the_interval_of_the_mean():
    accuracies = [0.5, 0.75, 1.0, 0.25, 0.5]
    figures = FewShotScore(np.array(accuracies), True).figures()
    assert figures["accuracy"] == pytest.approx(statistics.mean(accuracies))
    assert figures["accuracy_std"] == pytest.approx(statistics.pstdev(accuracies))
    assert figures["accuracy_ci95"] == pytest.approx(1.96 * statistics.stdev(accuracies) / 5**0.5)
    single = FewShotScore(np.array([0.5]), True).figures()
    assert (single["accuracy"], single["accuracy_std"], single["accuracy_ci95"]) == (0.5, 0.0, None)


def test_a_fit_that_did_not_end_marks_the_score(monkeypatch):
    monkeypatch.setattr(linear_svm, "MAX_STEPS", 1)
    sets = make_features(num_train=300)
    episode = draw(labels=sets.train_labels, setting=Setting(3, 5, 5))
    assert not score_episodes(sets.train_features, sets.train_labels, [episode]).has_converged
