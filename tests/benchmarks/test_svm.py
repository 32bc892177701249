import numpy as np
import pytest

from benchmarks import svm
from tests.support.program_calls import recorded
from utils.evaluation.svm.linear_svm import published_protocol


def test_both_sides_reach_the_same_accuracy_and_are_kept(tmp_path):
    rows = recorded(tmp_path, svm, "--sizes", 160, "--width", 256, "--rounds", 1)
    assert [(row["side"], row["figure"]) for row in rows] == [
        (side, figure) for figure in ("fit and predict", "accuracy") for side in ("sklearn", "ours")
    ]
    assert 0 < float(rows[2]["value"]) == float(rows[3]["value"])
    assert {row["setting"] for row in rows} == {"features=synthetic train=160 test=40 D=256 classes=40"}


def test_sides_of_different_accuracy_are_not_compared(monkeypatch):
    features, labels = svm.make_features(200, 256)
    monkeypatch.setattr(svm, "published_protocol", lambda *sets, c: published_protocol(*sets[:3], 0 * sets[3], c=c))
    with pytest.raises(ValueError, match="accuracies differ"):
        svm.compare(features, labels, "synthetic", 1)


def test_features_of_a_file_are_used_in_their_place(tmp_path):
    features, labels = svm.make_features(50, 17)
    np.savez(tmp_path / "mine.npz", features=features, labels=labels % 2)
    rows = recorded(tmp_path, svm, "--features", tmp_path / "mine.npz", "--rounds", 1)
    assert {row["setting"] for row in rows} == {"features=mine train=40 test=10 D=17 classes=2"}


@pytest.mark.parametrize("arrays", [{"features": np.zeros((3, 2))}, {"features": np.zeros(3), "labels": np.zeros(3)}])
def test_a_file_of_other_arrays_is_refused_by_name(tmp_path, arrays):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError, match=r"mine\.npz"):
        svm.load_features(tmp_path / "mine.npz")
