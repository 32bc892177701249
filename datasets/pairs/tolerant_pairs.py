"""Pre-training pairs whose unreadable items are replaced, so that one bad file does not end a long run."""

from collections.abc import Callable, Sequence

from torch.utils.data import Dataset

from datasets.pairs.render_pairs import Item, RenderPairs

MAX_IN_A_ROW = 16


class TolerantPairs(Dataset):
    """Replaces an unreadable item by the item of the next readable index.

    The replacement depends on the files alone, and its content on (seed, epoch, index), so that order, workers and
    ranks make no difference. An item may then occur twice in a batch.

    Items have one more key, "fault": "<files>: <reason>" of the item that was replaced, or ""; "index" is that of the
    replacement. Default collation makes a list of the faults.

    Args:
        dataset: raises ValueError or OSError for an item that it cannot read.
    """

    def __init__(self, dataset: RenderPairs):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def files(self, index: int) -> str:
        """Name the places of the cloud and the views of an item, for messages."""
        return self.dataset.files(index)

    def set_epoch(self, epoch: int) -> None:
        """Choose the draws of this epoch, see EpochCounter."""
        self.dataset.set_epoch(epoch)

    def watch(self, on_read: Callable[[int], None]) -> None:
        """Call a function with the index of each item before its files are read."""
        self.dataset.watch(on_read)

    def __getitem__(self, index: int) -> dict:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """Return the items of a batch, for a DataLoader.

        Raises:
            ValueError, OSError: the error of the last of MAX_IN_A_ROW consecutive unreadable items.
        """
        try:
            return [_marked(item, "") for item in self.dataset.__getitems__(indices)]
        except (ValueError, OSError):  # at least one is unreadable: read them one by one to find out which
            return [self._readable(index) for index in indices]

    def _readable(self, index: int) -> dict:
        fault = ""
        for step in range(MAX_IN_A_ROW):
            try:
                return _marked(self.dataset[(index + step) % len(self)], fault)
            except (ValueError, OSError) as error:
                fault = fault or " ".join(f"{self.files(index)}: {error}".splitlines())  # one line of the log
                last = error
        raise last


def _marked(item: Item, fault: str) -> dict:
    return item | {"fault": fault}
