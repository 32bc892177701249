"""Pre-training pairs made of samples that came out of shards."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datasets.pairs.render_pairs import Item, RenderPairs
from datasets.shapes.views import on_background
from datasets.shards.shard_index import ShardIndex
from datasets.shards.shard_samples import StoredSample, most_view_bytes
from datasets.shards.shard_source import ShardSource


class ShardPairs(RenderPairs):
    """Items as RenderPairs tells, of samples that are handed in; `index` of an item is the number of its shape.

    They are those of a data set with one view for each shape, that of the epoch's pass. Samples come in the order of
    `datasets.shards.shard_order`, not by number, so that `items` takes the place of indexing.
    """

    def __init__(self, location: str, *, num_points: int | None = None, **options) -> None:
        """
        Args, beside those of RenderPairs:
            location: folder of the shards, or its URL.
            num_points: points an augmentation; None takes as many as the smallest cloud holds.
        Raises:
            OSError: there are no shards, or they cannot be read.
            ValueError: their index is damaged or of another kind, clouds are too small, or a bad argument.
        """
        self.source = ShardSource(location)
        self.index: ShardIndex = self.source.load_index()
        self._samples: dict[int, StoredSample] = {}
        self._names: dict[int, str] = {}
        fewest = self.index.fewest_points
        if num_points is not None and num_points > fewest:
            raise ValueError(
                f"{location} has clouds of {fewest} points, {num_points} are needed; pass --num_points {fewest} or "
                "less, or make the clouds again with more points"
            )
        super().__init__(num_points=num_points or fewest, **options)

    def __len__(self) -> int:
        return self.index.shapes

    def items(self, samples: Sequence[StoredSample]) -> list[Item]:
        """One item for each sample, in their order.

        Raises:
            ValueError: a sample is damaged, or two are of one shape.
        """
        check_distinct_shapes(samples)
        self._samples = {sample.number: sample for sample in samples}
        try:
            return self.__getitems__(list(self._samples))
        finally:
            self._samples = {}

    def remember(self, names: dict[int, str]) -> None:
        """What `files` shall say of these items from now on; earlier ones are forgotten."""
        self._names = names

    def told(self) -> dict[int, str]:
        """What is remembered."""
        return self._names

    def files(self, index: int) -> str:
        return self._names.get(index) or f"shape {index} of {self.source.location}"

    def cloud_name(self, index: int) -> str:
        return str(self._samples[index])

    def view_file(self, index: int, view: int) -> str:
        return str(self._samples[index])

    def num_views(self, index: int) -> int:
        return 1

    def read_points(self, index: int) -> np.ndarray:
        return self._samples[index].read_points()

    def read_pixels(self, index: int, view: int) -> Tensor:
        pixels = np.moveaxis(self._samples[index].read_view(most_view_bytes(self.index)), 2, 0)
        return torch.from_numpy(on_background(np.ascontiguousarray(pixels), self.background))

    def find_view_size(self) -> tuple[int, int] | None:
        sizes = {size[:2] for size in self.index.view_sizes}
        return sizes.pop() if len(sizes) == 1 else None


def check_distinct_shapes(samples: Sequence[StoredSample]) -> None:
    """Raise ValueError where two are of one shape, which no pass holds twice."""
    if len({sample.number for sample in samples}) != len(samples):
        raise ValueError(f"two samples of a batch are of one shape, such as {samples[0]}; write the shards again")
