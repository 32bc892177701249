"""Order and content of batches depend on seed and epoch alone."""

import os
import signal

import pytest
import torch
from torch.utils.data import Dataset

from utils.loader import EpochLoader, EpochSampler


class Counting(Dataset):
    """Items name their index and the epoch they were drawn for."""

    def __init__(self, length=7):
        self.length = length
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch):
        self._epoch.fill_(epoch)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return {"index": index, "epoch": int(self._epoch)}


def load(epoch, *, seed=0, num_workers=0):
    loader = EpochLoader(Counting(), 3, seed=seed, num_workers=num_workers, pin_memory=False)
    return [(batch["index"].tolist(), batch["epoch"].tolist()) for batch in loader.epoch(epoch)]


def test_an_epoch_is_a_permutation_without_repeats():
    assert sorted(EpochSampler(101, seed=3)) == list(range(101))


def test_the_same_seed_and_epoch_give_the_same_batches():
    assert load(4) == load(4)


def test_epochs_and_seeds_differ():
    assert load(0)[0][0] != load(1)[0][0] or load(0)[1][0] != load(1)[1][0]
    assert load(0, seed=0) != load(0, seed=1)


def test_workers_change_nothing():
    assert load(2, num_workers=2) == load(2, num_workers=0)


def test_running_workers_see_a_new_epoch():
    loader = EpochLoader(Counting(), 3, seed=0, num_workers=1, pin_memory=False)
    seen = [[batch["epoch"].tolist() for batch in loader.epoch(epoch)] for epoch in (0, 5)]
    assert seen == [[[0, 0, 0]] * 2, [[5, 5, 5]] * 2]


def test_the_last_incomplete_batch_is_dropped():
    assert [len(index) for index, _ in load(0)] == [3, 3]


def test_a_batch_larger_than_the_data_is_an_error():
    with pytest.raises(ValueError, match="--batch_size 8 is larger than the data set \\(7 shapes\\)"):
        EpochLoader(Counting(), 8, seed=0, num_workers=0, pin_memory=False)


class Threads(Counting):
    """Items are the number of threads of the process that reads them."""

    def __getitem__(self, index):
        return torch.get_num_threads()


def test_a_loader_process_computes_with_one_thread():
    loader = EpochLoader(Threads(), 3, seed=0, num_workers=1, pin_memory=False)
    assert next(loader.epoch(0)).tolist() == [1, 1, 1]


class Deadly(Dataset):
    """Kills the process that reads it."""

    def __len__(self):
        return 4

    def set_epoch(self, epoch):
        pass

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_loader_process_is_one_message():
    loader = EpochLoader(Deadly(), 2, seed=0, num_workers=1, pin_memory=False)
    with pytest.raises(OSError, match="a loader process was killed .*--num_workers"):
        next(loader.epoch(0))
