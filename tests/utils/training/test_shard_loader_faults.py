"""Streams that are left, damaged or killed: nothing stays open, and one message says what was wrong."""

import os
import signal
import threading

import pytest

from tests.support.file_server import needs_curl, serving
from tests.support.shard_batches import FORKING, SHAPES, load, open_loader
from tests.support.tiny_shards import make_shards, make_tree, read_pass


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree"), SHAPES, num_points=31)


@pytest.fixture(scope="module")
def folder(tree, tmp_path_factory):
    return make_shards(tree, tmp_path_factory.mktemp("shards") / "s", passes=1, samples_per_shard=7)


def open_files():
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_file(fd))


def _is_file(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}") and ".tar" in os.readlink(f"/proc/self/fd/{fd}")


def children():
    path = f"/proc/self/task/{threading.get_native_id()}/children"
    if not os.path.exists(path):
        pytest.skip("no list of child processes here")
    with open(path) as stream:
        return stream.read().split()


@needs_curl
@FORKING
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("remote", [False, True])
def test_an_epoch_left_in_the_middle_leaves_nothing_open(folder, num_workers, remote):
    before = children()
    with serving(folder) as url:
        batches = open_loader(url if remote else folder, num_workers=num_workers).epoch(0)
        next(batches)
        if num_workers or remote:
            assert children() != before
        else:
            assert open_files()
        batches.close()
        assert children() == before
        assert open_files() == []


@FORKING
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_damaged_sample_is_one_message(tree, tmp_path, num_workers):
    folder = make_shards(tree, tmp_path / "s", passes=1, samples_per_shard=7)
    path = sorted(folder.glob("*.tar"))[2]
    raw = bytearray(path.read_bytes())
    raw[700] ^= 1
    path.write_bytes(raw)
    with pytest.raises(
        ValueError, match=rf"^{path} is damaged at byte 0: sample \d+-\w+ has another checksum"
    ) as error:
        load(folder, num_workers=num_workers)
    assert "Traceback" not in str(error.value)


@FORKING
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_missing_shard_is_named(tree, tmp_path, num_workers):
    folder = make_shards(tree, tmp_path / "s", passes=1, samples_per_shard=7)
    path = sorted(folder.glob("*.tar"))[1]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=str(path)):
        load(folder, num_workers=num_workers)


@FORKING
def test_a_killed_loader_process_is_one_message(folder):
    before = children()
    batches = open_loader(folder, num_workers=1).epoch(0)
    next(batches)
    (worker,) = (pid for pid in children() if pid not in before)
    os.kill(int(worker), signal.SIGKILL)
    with pytest.raises(OSError, match=r"a loader process died .*--num_workers"):
        list(batches)
    assert children() == before


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), EOFError(), FileNotFoundError(2, "no socket")])
def test_a_loader_process_that_dies_while_it_hands_over_a_batch_is_the_same_message(folder, monkeypatch, error):
    def die(steps):
        raise error
        yield

    loader = open_loader(folder, num_workers=1)
    monkeypatch.setattr(loader, "_parts", die)
    with pytest.raises(OSError, match=r"a loader process died .*--num_workers"):
        next(loader.epoch(0))


def test_a_sample_that_occurs_twice_is_named(tree, tmp_path):
    folder = make_shards(tree, tmp_path / "s", passes=1, samples_per_shard=37)
    loader = open_loader(folder, streams=1, shuffle_buffer=1)
    sample = next(iter(read_pass(folder, 0).values()))
    with pytest.raises(ValueError, match=r"two samples of a batch are of one shape, such as .*\(sample"):
        loader.dataset.items([sample, sample])
