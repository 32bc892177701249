"""A short version of `python -m tests.stress.kill_resume`, and what it compares."""

import multiprocessing
import os
import random
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from tqdm import tqdm

import train_crosspoint
from tests.stress import kill_launch, kill_resume
from tests.stress.kill_compare import differences, num_tensors
from tests.stress.kill_trial import DAMAGES, SAVE, START, STEP, STOPS, damage
from tests.support.light_runs import light
from tests.support.several_processes import START_METHOD, be_as_started_anew
from tests.support.tiny_trees import write_shapenet
from utils.cli import run_main


def train(words, output):
    """Train as `python train_crosspoint.py` does with these words."""
    stream = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(stream, 1), os.dup2(stream, 2)
    be_as_started_anew()
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process would leave behind
    with light(), patch("os.fsync", lambda descriptor: time.sleep(0.05)):  # long enough to be killed in
        run_main(lambda: train_crosspoint.main(train_crosspoint.parse_args(words)))


class Forked:
    """A training process like subprocess.Popen's, forked from this one, which has imported everything."""

    def __init__(self, words, *, stdout, **options):
        _, program, *flags = words
        assert Path(program).name == "train_crosspoint.py"
        self._process = multiprocessing.get_context(START_METHOD).Process(target=train, args=(flags, stdout.name))
        self._process.start()
        self.pid, self.kill = self._process.pid, self._process.kill

    def poll(self):
        return self._process.exitcode

    def wait(self):
        self._process.join()
        return self._process.exitcode


@pytest.fixture
def forked(monkeypatch):
    """Fork every launch, which saves its imports."""
    monkeypatch.setattr(kill_launch, "subprocess", SimpleNamespace(Popen=Forked))
    monkeypatch.setattr(
        kill_launch.Launch, "pids", lambda launch, also="": [] if launch.status() is not None else [launch._root.pid]
    )


def test_a_training_that_is_killed_stopped_and_damaged_ends_as_without_bit_for_bit(forked, tmp_path):
    root = write_shapenet(tmp_path / "tree", [f"02/{i:02d}" for i in range(24)], num_points=130, size=40)
    args = kill_resume.parse_args(["--epochs", "5", "--save_every_steps", "4", "--num_workers", "0"])
    hows = [SAVE, "SIGUSR1", "flipped"]
    trial, faults = kill_resume.run_both(args, hows, tmp_path, root, random.Random(1))
    assert faults == []
    assert [one.how for one in trial.interruptions] == hows
    assert any(one.is_saving for one in trial.interruptions)
    assert [one.began.source for one in trial.interruptions if one.how in DAMAGES] == ["previous.pt"]
    assert [one.lost for one in trial.interruptions if one.how in STOPS] == [0]
    assert num_tensors(tmp_path / "interrupted") > 250
    rows = kill_resume.table(trial.interruptions).splitlines()
    assert len(rows) == 2 + len(hows)


def test_of_the_kills_the_first_is_before_any_state_and_many_are_during_a_save():
    args = kill_resume.parse_args(["--kills", "30", "--stops", "3", "--damages", "2"])
    hows = kill_resume.plan(args, random.Random(1))
    counts = {how: hows.count(how) for how in (START, STEP, SAVE, *STOPS, *DAMAGES)}
    assert hows[0] == STEP
    assert list(counts.values()) == [6, 12, 12, 2, 1, 1, 1]
    assert hows == kill_resume.plan(args, random.Random(1)) != kill_resume.plan(args, random.Random(2))


@pytest.fixture
def folders(tmp_path):
    """Write a finished run twice; return both folders and its state."""
    run_dir = tmp_path / "a"
    (run_dir / "models").mkdir(parents=True)
    torch.manual_seed(0)
    state = {"method": {"w": torch.randn(3)}, "optimizer": {"state": {0: {"exp_avg": torch.randn(3)}}}}
    state |= {"schedule": {"last_epoch": 2}, "scaler": {}, "rng": [{"torch": torch.get_rng_state()}], "best": 0.5}
    state |= {"progress": {"epoch": 2, "step": 0, "seconds": 1.0}, "bad_samples": {"num_bad": 0}}
    torch.save(state, run_dir / "last.pt")
    torch.save({"w": torch.ones(2)}, run_dir / "models" / "best_model.pth")
    (run_dir / "metrics.jsonl").write_text('{"epoch": 0, "loss/total": 1.5, "hours": 1.0}\n')
    shutil.copytree(run_dir, tmp_path / "b")
    return run_dir, tmp_path / "b", state


def test_runs_that_differ_in_time_alone_are_the_same(folders):
    a, b, state = folders
    torch.save(state | {"progress": {"epoch": 2, "step": 0, "seconds": 9.0}}, b / "last.pt")
    (b / "metrics.jsonl").write_text('{"epoch": 0, "loss/total": 1.5, "hours": 2.0}\n' * 2)
    assert differences(a, b) == []
    assert num_tensors(a) == 4


@pytest.mark.parametrize(
    "change, found",
    [
        ({"method": {"w": torch.zeros(3)}}, "1 values differ, method.w"),
        ({"optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}}, "1 values differ, optimizer.state.0.exp_avg"),
        ({"optimizer": {"state": {}}}, "2 values differ, optimizer.state"),
        ({"rng": [{"torch": torch.zeros(4)}]}, "1 values differ, rng.0.torch"),
        ({"progress": {"epoch": 2, "step": 1, "seconds": 1.0}}, "1 values differ, progress.step"),
        ({"best": 0.25}, "1 values differ, best"),
    ],
)
def test_a_state_that_differs_anywhere_is_named(folders, change, found):
    a, b, state = folders
    torch.save(state | change, b / "last.pt")
    assert differences(a, b) == [f"last.pt: {found} is one"]


def test_weights_and_losses_that_differ_are_named(folders):
    a, b, _ = folders
    torch.save({"w": torch.ones(2).double()}, b / "models" / "best_model.pth")
    torch.save({}, b / "models" / "more.pth")
    with (b / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 0, "loss/total": 1.5000001}\n{"epoch": 1, "loss/total": 1.0}\n')
    assert differences(a, b) == [
        "models/more.pth is in one run alone",
        "models/best_model.pth: 1 values differ, w is one",
        "metrics.jsonl: epoch 1 is in one run alone",
        "metrics.jsonl: epoch 0",
    ]


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_changes_a_file(tmp_path, how):
    path = tmp_path / "file"
    path.write_bytes(bytes(20_000))
    damage(path, how, random.Random(0))
    assert (path.stat().st_size < 20_000) == (how == "truncated")
    assert any(path.read_bytes()) == (how == "flipped")
