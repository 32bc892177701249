"""The epoch of a data set that draws its items anew in every epoch."""

import numpy as np
import torch


class EpochCounter:
    """Base of data sets whose random draws depend on (seed, epoch, item) alone.

    So an item does not depend on the order of access or on the number of workers. The epoch lies in shared memory,
    where persistent workers see it change.

    Args:
        seed: of the run, >= 0.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch whose items are drawn."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the draws of this epoch (0, 1, ...); call it before iterating."""
        self._epoch.fill_(epoch)

    def item_rng(self, item: int) -> np.random.Generator:
        """Return the generator of an item's random draws in this epoch."""
        return np.random.default_rng((self.seed, self.epoch, item))
