"""Streams that are left, damaged or killed: nothing stays open, and one message says what was wrong."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from datasets.shards.shard_streams import StreamReader
from tests.support.damage import flip
from tests.support.file_server import needs_curl, serving
from tests.support.shard_batches import FORKING, load, open_loader


def open_shards():
    return [path for fd in Path("/proc/self/fd").iterdir() if ".tar" in (path := os.path.realpath(fd))]


def children():
    path = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    if not path.exists():
        pytest.skip("no list of child processes here")
    return path.read_text().split()


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
            assert open_shards()
        batches.close()
        assert children() == before
        assert open_shards() == []


@FORKING
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_damaged_sample_is_one_message(folder, tmp_path, num_workers):
    copy = shutil.copytree(folder, tmp_path / "s")
    path = sorted(copy.glob("*.tar"))[2]
    flip(700)(path)
    message = rf"^{path} is damaged at byte 0: sample \d+-\w+ has another checksum"
    with pytest.raises(ValueError, match=message) as error:
        load(copy, num_workers=num_workers)
    assert "Traceback" not in str(error.value)


@FORKING
@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"skips_bad": True}])
def test_a_missing_shard_is_named(folder, tmp_path, options):
    copy = shutil.copytree(folder, tmp_path / "s")
    path = sorted(copy.glob("*.tar"))[1]
    loader = open_loader(copy, **options)
    path.unlink()  # after the start, which looks for every shard
    with pytest.raises(FileNotFoundError, match=str(path)):
        list(loader.epoch(0))


def test_shards_that_are_missing_at_the_start_are_named_and_counted(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "s")
    paths = sorted(copy.glob("*.tar"))
    for path in paths[-2:]:  # of the last pass, which the first epochs do not read
        path.unlink()
    (copy / paths[-1].name).symlink_to("nowhere")
    message = f"no {paths[-2]}: 2 of the {len(paths)} shards that index.json names are missing; copy them again"
    with pytest.raises(FileNotFoundError, match=message):
        open_loader(copy)


@FORKING
# Torch leaves a file open where the process died while it handed over a tensor.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
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


@pytest.mark.parametrize("skips_bad", [False, True])
def test_a_sample_that_occurs_twice_in_a_batch_is_named(folder, monkeypatch, skips_bad):
    sample_at = StreamReader.sample_at
    monkeypatch.setattr(StreamReader, "sample_at", lambda reader, number: sample_at(reader, number - number % 2))
    with pytest.raises(ValueError, match=r"two samples of a batch are of one shape, such as .*\(sample"):
        load(folder, skips_bad=skips_bad)
