"""Run folders of train_crosspoint.py: resumed, overwritten, refused, and what is kept when the loss is no number."""

import json
import math
import shutil
from unittest.mock import patch

import pytest
import torch

from models.methods import crosspoint
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, flags_of, log_of, metrics
from tests.support.pretraining_runs import SHAPES, train, write_pairs
from tests.support.tiny_trees import pack

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory, light_training):
    """A run of two epochs, which no test may change."""
    return train(root, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def run_dir(finished, tmp_path):
    """A copy of it below tmp_path."""
    return shutil.copytree(finished, tmp_path / "tiny")


def continued(root, out, *flags):
    """Return the resumed training before its next step."""
    return built_by(lambda: train(root, out, "--resume", *flags))


def test_a_run_that_was_killed_before_its_first_state_begins_again(root, tmp_path):
    with interrupted_in(0):
        train(root, tmp_path)
    assert continued(root, tmp_path).progress.epoch == 0
    assert "no state in" in log_of(tmp_path / "tiny")


def test_a_run_is_not_overwritten_unless_asked(root, run_dir):
    with pytest.raises(ValueError, match="already holds a run"):
        train(root, run_dir.parent)
    begun = built_by(lambda: train(root, run_dir.parent, "--overwrite", "--seed", "7"))
    assert begun.progress.epoch == 0
    assert (len(metrics(run_dir)), flags_of(run_dir)["seed"]) == (2, 1)  # ended before its first state
    with patch("utils.run.folder.discard"):  # by the first state, not by the end
        train(root, run_dir.parent, "--overwrite", "--seed", "7", "--epochs", "1")
    assert (len(metrics(run_dir)), flags_of(run_dir)["seed"]) == (1, 7)
    assert not [*run_dir.glob(".replaced*"), *run_dir.glob("previous.pt")]


def test_resume_and_overwrite_exclude_each_other(root, finished):
    with pytest.raises(ValueError, match="pass one of them"):
        train(root, finished.parent, "--resume", "--overwrite")
    assert (finished / "last.pt").is_file()


def test_a_resumed_run_records_each_session(root, run_dir):
    assert continued(root, run_dir.parent).progress.epoch == 2
    record = json.loads((run_dir / "config.json").read_text())
    assert [set(session) for session in record["sessions"]] == [{"command", "commit", "machine", "python", "torch"}]


def test_resuming_without_the_record_still_knows_the_settings(root, run_dir):
    (run_dir / "config.json").unlink()
    with pytest.raises(ValueError, match="--temperature was 0.1, now 0.5"):
        train(root, run_dir.parent, "--resume", "--temperature", "0.5")
    continued(root, run_dir.parent)
    assert flags_of(run_dir)["temperature"] == 0.1


def test_resuming_on_another_number_of_shapes_is_refused(root, run_dir, tmp_path):
    folder = write_pairs(tmp_path / "data", SHAPES[:5])
    with pytest.raises(ValueError, match=r"was trained on 7 samples, --data_root .*data holds 5"):
        train(folder, tmp_path, "--resume")
    packed = pack(folder, tmp_path / "five.h5")
    with pytest.raises(ValueError, match=r"was trained on 7 samples, --packed .*five\.h5 holds 5"):
        train(root, tmp_path, "--resume", "--packed", packed)


def test_hours_are_those_of_the_whole_run(root, run_dir):
    state = torch.load(run_dir / "last.pt", weights_only=True)
    torch.save(state | {"seconds": 3600.0, "progress": {"epoch": 1}}, run_dir / "last.pt")
    hours = metrics(train(root, run_dir.parent, "--resume"), "hours")
    assert 0 < hours[0] < hours[1] < 0.1
    assert 1 < hours[2] < 1.1


def test_a_non_finite_loss_stops_with_step_files_and_saved_state(root, tmp_path):
    with pytest.raises(ValueError, match=r"epoch 0, step 1(.|\n)*02/0\d.ply"):
        train(root, tmp_path, "--lr", "1e30", "--use_sgd")
    state = torch.load(tmp_path / "tiny" / "nonfinite.pt", weights_only=True)
    assert len(state["failed_batch"]) == 3
    assert all(torch.isfinite(value).all() for name, value in state["method"].items() if "running" not in name)


def test_a_non_finite_gradient_stops_before_it_reaches_the_weights(root, tmp_path, monkeypatch):
    real_loss = crosspoint.nt_xent
    poison = iter([1.0, 1.0, math.nan])

    def loss(a, b, temperature):
        a.register_hook(lambda grad: grad * next(poison, 1.0))
        return real_loss(a, b, temperature)

    monkeypatch.setattr(crosspoint, "nt_xent", loss)
    with pytest.raises(ValueError, match=r"epoch 0, step 1(.|\n)*gradient norm(.|\n)*no state was saved before"):
        train(root, tmp_path)
    state = torch.load(tmp_path / "tiny" / "nonfinite.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in state["method"].values())
