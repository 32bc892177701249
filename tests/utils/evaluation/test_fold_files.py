import json

import numpy as np
import pytest

from utils.evaluation.few_shot import Setting, draw_episode
from utils.evaluation.fold_files import read_folds, splits_named, to_episode, write_fold

LABELS = {"train": np.array([0, 0, 0, 1, 1, 1, 2, 2]), "test": np.array([2, 1, 0])}
SOUND = {"support": {"train": [0, 4]}, "query": {"train": [1, 5], "test": [2, 1]}, "num_clouds": {"train": 8}}


def write(folder, content, name="fold.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def episode_of(path):
    (fold,) = read_folds(path)
    return to_episode(fold, LABELS)


def test_places_are_counted_over_the_splits_one_behind_the_other(tmp_path):
    setting, episode = episode_of(write(tmp_path, SOUND))
    assert setting == Setting(num_ways=2, num_shots=1, num_queries=2)
    assert episode.support.tolist() == [0, 4]
    assert episode.query.tolist() == [1, 5, 10, 9]


def test_an_episode_written_is_read_again(tmp_path):
    drawn = draw_episode(LABELS["train"], Setting(2, 2, 1), seed=0, run=0)
    write_fold(tmp_path / "new" / "fold.json", drawn, 8)
    setting, episode = episode_of(tmp_path / "new" / "fold.json")
    assert setting == (2, 2, 1)
    assert [rows.tolist() for rows in episode] == [rows.tolist() for rows in drawn]


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for name in ("b.json", "a.json", "notes.txt"):
        write(tmp_path, SOUND, name)
    assert [fold.path.name for fold in read_folds(tmp_path)] == ["a.json", "b.json"]


def test_only_the_splits_that_folds_name_are_needed(tmp_path):
    folds = read_folds(write(tmp_path, SOUND))
    assert splits_named(folds) == splits_named(folds, "query") == ["train", "test"]
    assert splits_named(folds, "support") == ["train"]


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"support": {"train": [0, 8]}}, "support names train cloud 8, the last is 7"),
        ({"query": {"train": [1, 5], "test": [2, 10**30]}}, f"query names test cloud {10**30}, the last is 2"),
        ({"num_clouds": {"train": 9}}, "is for a train split of 9 clouds, this one has 8"),
        ({"query": {"train": [0, 5]}}, "names a cloud twice"),
        ({"query": {"train": [1, 1, 5, 5]}}, "names a cloud twice"),
        ({"query": {"train": [1, 6]}}, r"support has the classes \[0, 1\], query \[0, 2\]"),
        ({"support": {"train": [0]}, "query": {"train": [1]}}, "expected the same ones, at least two"),
        ({"support": {"train": [0, 4, 2]}}, "support has 2 of class 0, 1 of class 1; expected as many of each class"),
        ({"query": {"train": [1, 5], "test": [1]}}, "query has 1 of class 0, 2 of class 1"),
        ({"query": {"train": []}}, "query has no cloud"),
        ({"query": {"val": [1, 5]}}, "expected query to be lists by split"),
        ({"query": {}}, "expected query to be lists by split"),
        ({"query": {"train": [1, -5]}}, "query holds something else than lists of whole numbers"),
        ({"query": {"train": [1, True]}}, "query holds something else than lists of whole numbers"),
        ({"query": {"train": 3}}, "query holds something else than lists of whole numbers"),
        ({"num_clouds": {"train": "8"}}, "expected num_clouds to be sizes by split"),
        ({"labels": [0, 1]}, "expected an object of support, query and"),
        *((content, r"fold\.json") for content in ("{", "[1]", '{"support": {"train": [0]}}', "\x80\x02}q\x00")),
    ],
)
def test_a_fold_at_fault_is_refused_with_its_name(change, expected, tmp_path):
    path = write(tmp_path, SOUND | change if isinstance(change, dict) else change)
    with pytest.raises(ValueError, match=expected) as refused:
        episode_of(path)
    assert str(path) in str(refused.value)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a JSON file or a folder"):
        read_folds(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a JSON file or a folder"):
        read_folds(tmp_path / "no.json")
