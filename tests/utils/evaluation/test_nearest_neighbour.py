import numpy as np
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from tests.utils.evaluation.clustered import make_features
from utils.evaluation import nearest_neighbour
from utils.evaluation.nearest_neighbour import knn_protocol


def test_equals_scikit_learns_cosine_neighbour_in_blocks_of_any_size(monkeypatch):
    sets = make_features(num_train=97, num_test=37)
    monkeypatch.setattr(nearest_neighbour, "_ROWS_AT_ONCE", 7)
    result = knn_protocol(*sets)
    train, test = sets.train_features.astype(np.float64), sets.test_features.astype(np.float64)
    theirs = KNeighborsClassifier(1, metric="cosine").fit(train, sets.train_labels)
    assert result.predicted.tolist() == theirs.predict(test).tolist()
    assert result.accuracy == theirs.score(test, sets.test_labels)


def test_of_equal_cosines_the_first_counts_also_of_a_zero_feature_without_a_warning():
    assert knn_protocol(np.eye(3), [2, 1, 0], np.zeros((1, 3)), [2]).accuracy == 1.0


def test_the_nearest_other_row_is_never_the_row_itself(monkeypatch):
    monkeypatch.setattr(nearest_neighbour, "_ROWS_AT_ONCE", 7)
    rows = np.random.default_rng(0).standard_normal((23, 4))
    theirs = NearestNeighbors(n_neighbors=2, metric="cosine").fit(rows).kneighbors(rows, return_distance=False)[:, 1]
    assert nearest_neighbour.nearest_other(rows).tolist() == theirs.tolist()
