"""train_crosspoint.py on shards: trains, resumes exactly, and names what is wrong before anything is written."""

import re
import shutil

import pytest
import torch

from tests.support import pretraining_runs
from tests.support.damage import flip
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, log_of, metrics, same, weights
from tests.support.tiny_shards import make_shards, make_tree
from tests.support.tiny_trees import pack

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree"), 9, num_points=70)


@pytest.fixture(scope="module")
def folder(tree, tmp_path_factory):
    return make_shards(tree, tmp_path_factory.mktemp("shards") / "s")


def train(tree, out, *flags):
    return pretraining_runs.train(tree, out, "--batch_size", "4", *flags)


def train_on(folder, out, *flags):
    return train("unused", out, "--shards", folder, *flags)


def assert_same(a, b):
    assert metrics(a) == metrics(b)
    assert same(weights(a), weights(b))


@pytest.fixture(scope="module")
def plain(folder, tmp_path_factory, light_training):
    return train_on(folder, tmp_path_factory.mktemp("plain"))


def test_workers_and_an_interruption_change_nothing_and_unused_workers_are_reported(folder, plain, tmp_path):
    with interrupted_in(1):
        train_on(folder, tmp_path, "--num_workers", "3")
    assert "9 shapes, 2 steps an epoch" in log_of(tmp_path / "tiny")
    assert "--num_workers 3: 2 are used, to share the 4 streams of a process equally" in log_of(tmp_path / "tiny")
    assert_same(plain, train_on(folder, tmp_path, "--resume"))


def test_another_order_is_refused_when_resuming(folder, plain):
    with pytest.raises(ValueError, match="--streams was None, now 2"):
        train_on(folder, plain.parent, "--resume", "--streams", "2")


def test_flags_reach_the_loader(folder, tmp_path):
    flags = ("--streams", "2", "--shuffle_buffer", "7", "--augment", "device", "--background", "white", "--seed", "3")
    loader = built_by(lambda: train_on(folder, tmp_path, *flags)).loader
    pairs = loader.dataset
    assert (loader.streams, loader.shuffle_buffer, loader.seed, loader.batch_size) == (2, 7, 3, 4)
    assert (pairs.augment, pairs.background, pairs.seed, pairs.num_points) == (False, (255, 255, 255), 3, 64)


def spoil(folder, out, *shards):
    """Copy the shards, those of these numbers with a byte of their first cloud flipped in every pass."""
    shutil.copytree(folder, out)
    for number in shards:
        for path in out.glob(f"pass-*-{number:06d}.tar"):
            flip(700)(path)
    return out


def test_a_damaged_sample_ends_a_run_or_is_replaced_counted_and_named_once(folder, tmp_path):
    bad = spoil(folder, tmp_path / "bad", 0)
    flags = ("--epochs", "4", "--batch_size", "3", "--streams", "1")  # nine shapes, all of them in every epoch
    with pytest.raises(ValueError, match=r"pass-0-000000\.tar is damaged at byte 0: sample .* has another checksum"):
        train_on(bad, tmp_path / "fail", *flags)
    whole = train_on(bad, tmp_path / "whole", *flags, "--on_bad_sample", "skip")
    with interrupted_in(1):
        train_on(bad, tmp_path / "cut", *flags, "--on_bad_sample", "skip")
    cut = train_on(bad, tmp_path / "cut", *flags, "--on_bad_sample", "skip", "--resume")
    assert_same(whole, cut)
    for run_dir in (whole, cut):
        log = log_of(run_dir)
        for passage in (0, 1):
            name = re.escape(str(bad / f"pass-{passage}-000000.tar"))
            assert len(re.findall(rf"warning: skipped {name} is damaged at byte 0: sample \d+-\w+ has", log)) == 1
        assert log.count("warning: skipped") == 2
        counts = torch.load(run_dir / "last.pt", weights_only=True)["bad_samples"]
        assert (counts["num_bad"], counts["num_samples"], len(counts["named"])) == (4, 36, 2)


def test_too_many_damaged_samples_end_a_run_that_skips_them(folder, tmp_path):
    bad = spoil(folder, tmp_path / "bad", 0, 1)
    flags = ("--epochs", "9", "--batch_size", "3", "--streams", "1", "--on_bad_sample", "skip")
    with pytest.raises(ValueError, match=r"11 of \d+ samples could not be read, more than 5.00%; check the data"):
        train_on(bad, tmp_path, *flags, "--max_bad_rate", "0.05")


def test_a_run_of_shards_does_not_go_on_with_other_data_nor_the_other_way_round(tree, folder, plain, tmp_path):
    with pytest.raises(ValueError, match="cannot resume on other data than .*: --shards then, --data_root now"):
        train(tree, plain.parent, "--resume")
    built_by(lambda: train(tree, tmp_path))
    with pytest.raises(ValueError, match="cannot resume on other data than .*: --data_root then, --shards now"):
        train_on(folder, tmp_path, "--resume")


def test_two_kinds_of_data_are_refused(tree, folder, tmp_path):
    with pytest.raises(ValueError, match="--shards and --packed both name data to train on; pass one"):
        train_on(folder, tmp_path / "run", "--packed", pack(tree, tmp_path / "a.h5"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "location, message",
    [
        ("", "--shards is empty"),
        ("nowhere", "no nowhere/index.json; write shards with python -m data.shard"),
        ("pipe:touch marker", "'pipe:touch marker': shards are read from a folder"),
        ("http://localhost/$(touch marker)", "is no plain URL"),
    ],
)
def test_a_location_at_fault_is_named_before_anything_is_written(tmp_path, monkeypatch, location, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=message):
        train_on(location, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
