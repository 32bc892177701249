"""Bases of data sets that make items of the shapes that another one reads, or add something to its items."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from torch.utils.data import Dataset

from datasets.epoch_counter import EpochCounter
from datasets.pairs.render_pairs import Item, RenderPairs


class SourceItems(EpochCounter, Dataset, ABC):
    """Items of the shapes of `source`; an item draws from (seed, epoch, index) alone, and holds "index".

    Args:
        source: reads clouds, views and pairs by index.
        seed: of the run, >= 0.
    """

    def __init__(self, source: RenderPairs, seed: int):
        super().__init__(seed)
        self.source = source
        self._on_read: Callable[[int], None] | None = None

    @abstractmethod
    def make_item(self, index: int, rng: np.random.Generator) -> Item:
        """Read a shape and make its item, all but the index."""

    def __len__(self) -> int:
        return len(self.source)

    def files(self, index: int) -> str:
        """Name the places of the cloud and the views of an item, for messages."""
        return self.source.files(index)

    def watch(self, on_read: Callable[[int], None]) -> None:
        """Call a function with the index of each item before its files are read."""
        self._on_read = on_read

    def __getitem__(self, index: int) -> Item:
        if self._on_read is not None:
            self._on_read(index)
        return {**self.make_item(index, self.item_rng(index)), "index": index}

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Return the items of a batch, for a DataLoader."""
        return [self[index] for index in indices]


class ExtendedItems(SourceItems):
    """The items of `source` with something more; its seed and epoch are this data set's."""

    def __init__(self, source: RenderPairs):
        super().__init__(source, source.seed)

    @abstractmethod
    def extend(self, item: Item) -> Item:
        """Return an item of the source with what this data set adds."""

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self.source.set_epoch(epoch)

    def watch(self, on_read: Callable[[int], None]) -> None:
        self.source.watch(on_read)

    def make_item(self, index: int, rng: np.random.Generator) -> Item:
        return self.extend(self.source[index])

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        return [self.extend(item) for item in self.source.__getitems__(indices)]
