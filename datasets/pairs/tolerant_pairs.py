"""Items that cannot be read, replaced by their neighbours, so that one bad file does not end a long run."""

from collections.abc import Callable, Sequence

from torch.utils.data import Dataset

from datasets.pairs.render_pairs import Item, RenderPairs

MAX_IN_A_ROW = 16


class TolerantPairs(Dataset):
    """A data set whose unreadable items are those of the next index that can be read.

    Which one that is depends on the files alone, and the item itself, as ever, on (seed, epoch, index): so order,
    workers and ranks make no difference. In a batch that draws both, an item may then occur twice.

    Items have one key more, "fault": "" or "<files>: <reason>" of the item that was replaced; "index" is that of the
    item which is there. Batched by default, faults become a list.

    Args:
        dataset: raises ValueError or OSError for what it cannot read.
    """

    def __init__(self, dataset: RenderPairs):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def files(self, index: int) -> str:
        """Where the cloud and the views of one item lie, for messages."""
        return self.dataset.files(index)

    def set_epoch(self, epoch: int) -> None:
        """As that of the data set."""
        self.dataset.set_epoch(epoch)

    def watch(self, on_read: Callable[[int], None]) -> None:
        """As that of the data set."""
        self.dataset.watch(on_read)

    def __getitem__(self, index: int) -> dict:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """Several items, as a DataLoader asks for the batch.

        Raises:
            ValueError, OSError: MAX_IN_A_ROW neighbours cannot be read; what the last of them raised.
        """
        try:
            return [_marked(item, "") for item in self.dataset.__getitems__(indices)]
        except (ValueError, OSError):  # one of them, at least: which?
            return [self._readable(index) for index in indices]

    def _readable(self, index: int) -> dict:
        fault = ""
        for step in range(MAX_IN_A_ROW):
            try:
                return _marked(self.dataset[(index + step) % len(self)], fault)
            except (ValueError, OSError) as error:
                fault = fault or " ".join(f"{self.files(index)}: {error}".splitlines())  # a line of the log
                last = error
        raise last


def _marked(item: Item, fault: str) -> dict:
    return item | {"fault": fault}
