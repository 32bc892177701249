"""Order and content of batches depend on seed and epoch alone."""

import os
import signal
import time

import pytest
import torch
from torch.utils.data import Dataset

from utils.training import epoch_loader as loader_module
from utils.training.epoch_loader import EpochBatches, EpochLoader


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
    assert sorted(index for batch in EpochBatches(101, 1, seed=3) for index in batch) == list(range(101))


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_parts_of_all_ranks_are_the_batches_of_one_process(world_size):
    whole = list(EpochBatches(50, 6, seed=3))
    parts = [list(EpochBatches(50, 6, seed=3, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert [[index for part in step for index in part] for step in zip(*parts)] == whole


@pytest.mark.parametrize("start", [0, 1, 2])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_can_be_continued_at_any_step(start, num_workers):
    loader = EpochLoader(Counting(), 3, seed=0, num_workers=num_workers, pin_memory=False)
    whole = [batch["index"].tolist() for batch in loader.epoch(4)]
    assert [batch["index"].tolist() for batch in loader.epoch(4, start)] == whole[start:]
    assert [batch["index"].tolist() for batch in loader.epoch(4)] == whole


@pytest.mark.parametrize("batch_size, ranks, advice", [(20, 3, "use 18 or 21"), (2, 3, "use 3$")])
def test_a_batch_that_ranks_cannot_share_is_an_error_that_names_what_they_can(batch_size, ranks, advice):
    with pytest.raises(ValueError, match=f"--batch_size {batch_size} is not divisible by {ranks} ranks; {advice}"):
        EpochLoader(Counting(), batch_size, seed=0, num_workers=0, pin_memory=False, rank=0, world_size=ranks)


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


class Watched(Counting):
    """Reports each item it reads; item 5 kills or hangs its process."""

    def watch(self, on_read):
        self.on_read = on_read

    def files(self, index):
        return f"file {index}"

    def __getitem__(self, index):
        self.on_read(index)
        if index == 5:
            self.fail()
        return index


class Deadly(Watched):
    def fail(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Hanging(Watched):
    def fail(self):
        time.sleep(600)


@pytest.mark.parametrize("dataset, message", [(Deadly, "a loader process died"), (Hanging, "no batch came for 2 s")])
def test_a_loader_process_that_dies_or_hangs_is_one_message_with_the_file(monkeypatch, dataset, message):
    monkeypatch.setattr(loader_module, "TIMEOUT_S", 2)
    loader = EpochLoader(dataset(), 7, seed=0, num_workers=1, pin_memory=False)
    with pytest.raises(OSError, match=rf"{message} .*--num_workers 0(.|\n)*  file 5$"):
        next(loader.epoch(0))
