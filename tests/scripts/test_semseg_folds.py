"""scripts.train_semseg --test_area all: a run an area, their scores together, what is finished is taken over."""

import json
import shutil

import numpy as np
import pytest

from scripts import train_semseg
from tests.support.entry_programs import call, error_of
from tests.support.interruption import interrupted_in
from tests.support.light_runs import results, same, weights
from tests.support.tiny_rooms import COMMAND, write_box_rooms
from utils.results.result_records import read_report
from utils.semseg.folds import sum_folds
from utils.semseg.semseg_training import RoomTraining

AREAS = (1, 2, 5)
FOLDS = f"--exp_name folds --test_area all {COMMAND}"


pytestmark = pytest.mark.usefixtures("light_rooms")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_box_rooms(tmp_path_factory.mktemp("rooms"), AREAS)


def train(root, out, *extra):
    call(train_semseg, *FOLDS.split(), "--steps", 2, "--epochs", 2, "--data_root", root, "--output_dir", out, *extra)
    return out / "folds"


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory):
    return train(root, tmp_path_factory.mktemp("plain"))


def test_the_points_of_all_areas_are_scored_together(root, plain):
    (found,), folds = results(plain), [results(plain / f"area_{area}")[0] for area in AREAS]
    assert [fold["test_area"] for fold in folds] == list(AREAS)
    counts = sum(np.array(fold["confusion"]) for fold in folds)
    assert counts.sum() == 3 * 370
    assert found["accuracy"] == pytest.approx(counts.trace() / counts.sum())
    assert [area["miou"] for area in found["areas"]] == [fold["miou"] for fold in folds]
    assert (found["variant"], found["num_test"], found["test_area"]) == ("Areas 1, 2, 5", 3, "all")
    assert {row["variant"] for row in read_report(plain / "results.json")} == {"Areas 1, 2, 5"}


def test_figures_of_a_sum_weigh_each_point_alike():
    def fold(counts, num_test):
        names = {"class_names": ["a", "b"], "num_classes": 2, "num_test": num_test, "network_sha256": "", "lr": 0.1}
        return names | {"confusion": counts, "miou": 0, "accuracy": 0, "mean_class_accuracy": 0}

    (found,) = sum_folds({1: [fold([[8, 0], [0, 0]], 1)], 2: [fold([[0, 1], [1, 2]], 4)]})
    assert (found["accuracy"], found["num_test"], found["lr"]) == (10 / 12, 5, 0.1)
    assert found["iou_by_class"] == {"a": 8 / 10, "b": 2 / 4}
    assert found["mean_class_accuracy"] == pytest.approx((8 / 9 + 2 / 3) / 2)


def test_finished_areas_are_taken_over_and_the_rest_ends_as_without_a_stop(root, plain, tmp_path, monkeypatch):
    shutil.copytree(plain / "area_1", tmp_path / "folds" / "area_1")
    with interrupted_in(1):
        train(root, tmp_path, "--resume")  # area 1 is finished, area 2 begins
    assert (tmp_path / "folds" / "area_2" / "last.pt").is_file()
    trained = []
    fit = RoomTraining.fit
    monkeypatch.setattr(RoomTraining, "fit", lambda self: trained.append(self.run.folder.name) or fit(self))
    train(root, tmp_path, "--resume")
    assert trained == ["area_2", "area_5"]
    for area in AREAS:
        assert same(*(weights(run / f"area_{area}") for run in (plain, tmp_path / "folds")))
    assert results(tmp_path / "folds")[0]["confusion"] == results(plain)[0]["confusion"]


@pytest.mark.parametrize("text", ["", "[]", '{"results": [1]}'])
def test_damaged_scores_of_an_area_are_named(root, plain, tmp_path, text):
    damaged = shutil.copytree(plain, tmp_path / "folds") / "area_2" / "results.json"
    damaged.write_text(text)
    with pytest.raises(ValueError, match=r"area_2/results\.json is damaged .* delete it, and the run is scored again"):
        train(root, tmp_path, "--resume")


def test_the_networks_of_all_areas_are_scored_again_with_the_same_figures(root, plain, tmp_path):
    table = tmp_path / "again.json"
    train(root, plain.parent, "--eval", "--json", table)
    assert json.loads(table.read_text())["results"][0]["miou"] == results(plain)[0]["miou"]


def test_what_has_no_folds_is_refused(root, plain, tmp_path, capsys):
    def message(*flags, data=root, out=tmp_path):
        return error_of(lambda: train(data, out, *flags), capsys)

    assert "--test_area all is for s3dis; scannet has no areas" in message("--dataset", "scannet")
    assert "--test_area 2 is for s3dis; scannet has no areas" in message("--dataset", "scannet", "--test_area", "2")
    assert "has 1 folders Area_<k>" in message(data=write_box_rooms(tmp_path / "single", (5,)))
    assert "area_1 already holds a run" in message(out=plain.parent)
    assert "cannot resume with other settings" in message("--resume", "--seed", 2, out=plain.parent)
    assert "holds a network an area" in message("--eval", "--model_path", tmp_path / "a.pth")
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "last.pt").write_bytes(b"")
    assert "holds the run of one area" in message()
    with pytest.raises(SystemExit):
        call(train_semseg, "--test_area", "0")
    assert "must be the number of an area, from 1, or all, got 0" in capsys.readouterr().err
