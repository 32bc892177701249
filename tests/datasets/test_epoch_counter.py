"""The epoch of a data set, as worker processes see it."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import torch.multiprocessing  # noqa: F401  registers how tensors are sent to other processes

from datasets.epoch_counter import EpochCounter


def test_a_copy_sent_to_a_worker_follows_the_epoch():
    counter = EpochCounter(seed=3)
    copy = ForkingPickler.loads(ForkingPickler.dumps(counter))
    for epoch in (2, 0):
        counter.set_epoch(epoch)
        assert (copy.epoch, copy.seed) == (epoch, 3)


def test_draws_depend_on_seed_epoch_and_item_alone():
    counter = EpochCounter(seed=3)
    counter.set_epoch(4)
    assert counter.item_rng(5).random() == np.random.default_rng((3, 4, 5)).random()
