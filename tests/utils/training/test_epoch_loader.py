import os
import signal
import time

import pytest
import torch
from torch.utils.data import Dataset

from utils.training import epoch_loader as loader_module
from utils.training.epoch_loader import EpochBatches, EpochLoader


class Counting(Dataset):
    """Items name their index, the epoch they were drawn for and the number of threads of the process that reads."""

    def __init__(self):
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch):
        self._epoch.fill_(epoch)

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return {"index": index, "epoch": int(self._epoch), "threads": torch.get_num_threads()}


def open_loader(dataset=None, batch_size=3, *, seed=0, num_workers=0, **ranks):
    return EpochLoader(dataset or Counting(), batch_size, seed=seed, num_workers=num_workers, pin_memory=False, **ranks)


def rows(batches, key="index"):
    return [batch[key].tolist() for batch in batches]


def test_an_epoch_is_a_permutation_without_repeats_nor_the_last_incomplete_batch():
    assert sorted(index for batch in EpochBatches(101, 1, seed=3) for index in batch) == list(range(101))
    assert [len(batch) for batch in EpochBatches(7, 3, seed=3)] == [3, 3]


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_parts_of_all_ranks_are_the_batches_of_one_process(world_size):
    whole = list(EpochBatches(50, 6, seed=3))
    parts = [list(EpochBatches(50, 6, seed=3, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert [[index for part in step for index in part] for step in zip(*parts)] == whole


@pytest.mark.parametrize("start", [0, 1, 2])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_can_be_continued_at_any_step_and_workers_change_nothing(start, num_workers):
    whole = rows(open_loader().epoch(4))
    loader = open_loader(num_workers=num_workers)
    assert rows(loader.epoch(4, start)) == whole[start:]
    assert rows(loader.epoch(4)) == whole


@pytest.mark.parametrize(
    "batch_size, ranks, message",
    [
        (20, 3, "--batch_size 20 is not divisible by 3 ranks; use 18 or 21"),
        (2, 3, "--batch_size 2 is not divisible by 3 ranks; use 3$"),
        (8, 1, r"--batch_size 8 is larger than the data set \(7 shapes\)"),
    ],
)
def test_a_batch_that_cannot_be_shared_or_filled_is_an_error_that_names_the_sizes(batch_size, ranks, message):
    with pytest.raises(ValueError, match=message):
        open_loader(batch_size=batch_size, rank=0, world_size=ranks)


def test_epochs_and_seeds_differ():
    assert rows(open_loader().epoch(0)) != rows(open_loader().epoch(1))
    assert rows(open_loader().epoch(0)) != rows(open_loader(seed=1).epoch(0))


def test_running_workers_see_a_new_epoch_and_compute_with_one_thread():
    loader = open_loader(num_workers=1)
    assert [rows(loader.epoch(epoch), "epoch") for epoch in (0, 5)] == [[[0, 0, 0]] * 2, [[5, 5, 5]] * 2]
    assert rows(loader.epoch(0), "threads") == [[1, 1, 1]] * 2


class Watched(Counting):
    """Reports each item it reads; item 5 kills or hangs its process."""

    def __init__(self, fail):
        super().__init__()
        self.fail = fail

    def watch(self, on_read):
        self.on_read = on_read

    def files(self, index):
        return f"file {index}"

    def __getitem__(self, index):
        self.on_read(index)
        if index == 5:
            self.fail()
        return index


@pytest.mark.parametrize(
    "fail, message",
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "a loader process died"),
        (lambda: time.sleep(600), "no batch came for 2 s"),
    ],
)
def test_a_loader_process_that_dies_or_hangs_is_one_message_with_the_file(monkeypatch, fail, message):
    monkeypatch.setattr(loader_module, "TIMEOUT_S", 2)
    loader = open_loader(Watched(fail), batch_size=7, num_workers=1)
    with pytest.raises(OSError, match=rf"{message} .*--num_workers 0(.|\n)*  file 5$"):
        next(loader.epoch(0))
