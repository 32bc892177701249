"""Pre-training pairs made from the samples of tar shards."""

from collections.abc import Sequence

import numpy as np

from datasets.pairs.pixel_pairs import PixelPairs
from datasets.pairs.render_pairs import Item, RenderPairs
from datasets.shards.shard_index import ShardIndex
from datasets.shards.shard_samples import StoredSample, most_view_bytes
from datasets.shards.shard_source import ShardSource


class ShardPairs(RenderPairs):
    """Items of RenderPairs, made from samples that the caller has read; `index` of an item is its shape's number.

    They equal those of a data set with one view per shape, that of the epoch's pass; its pairs are those of all views
    of the shape, in the order of its other sources. Samples arrive in the order of
    `datasets.shards.shard_order`, so call `items` instead of indexing.

    Attributes:
        sample_names: names of the samples of the current batch by index, for `files`; set by the loader.
    """

    def __init__(self, location: str, *, num_points: int | None = None, **options) -> None:
        """
        Args, beside those of RenderPairs:
            location: folder of the shards, or its URL.
            num_points: points of each augmented cloud; None takes as many as the smallest cloud holds.
        Raises:
            OSError: there are no shards, one is missing in a folder, or they cannot be read.
            ValueError: their index is damaged or of another kind, a cloud is too small, or an argument is invalid.
        """
        self.source = ShardSource(location)
        self.index: ShardIndex = self.source.load_index()
        self.source.require_files(self.index)
        self._samples: dict[int, StoredSample] = {}
        self.sample_names: dict[int, str] = {}
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
        """Make the items of these samples, in order.

        Raises:
            ValueError: a sample is damaged, or two samples are of one shape.
        """
        check_distinct_shapes(samples)
        self._samples = {sample.number: sample for sample in samples}
        try:
            return self.__getitems__(list(self._samples))
        finally:
            self._samples = {}

    def name(self, index: int) -> str:
        return str(self._samples[index])

    def files(self, index: int) -> str:
        return self.sample_names.get(index) or f"shape {index} of {self.source.location}"

    def cloud_name(self, index: int) -> str:
        return str(self._samples[index])

    def view_file(self, index: int, view: int) -> str:
        return str(self._samples[index])

    def num_views(self, index: int) -> int:
        return 1

    def read_points(self, index: int) -> np.ndarray:
        return self._samples[index].read_points()

    def read_stored(self, index: int, view: int) -> np.ndarray:
        return self._samples[index].read_view(most_view_bytes(self.index))

    def read_pixel_pairs(self, index: int) -> PixelPairs:
        return self._samples[index].read_pairs(self.index.most_pair_values)

    def find_view_size(self) -> tuple[int, int] | None:
        sizes = {size[:2] for size in self.index.view_sizes}
        return sizes.pop() if len(sizes) == 1 else None


def check_distinct_shapes(samples: Sequence[StoredSample]) -> None:
    """Raise a ValueError if two samples are of one shape: no pass holds a shape twice."""
    if len({sample.number for sample in samples}) != len(samples):
        raise ValueError(f"two samples of a batch are of one shape, such as {samples[0]}; write the shards again")
