"""Pre-training items of clouds with what a frozen image network has said of the views of their shape."""

from typing import Protocol

import numpy as np
import torch

from datasets.pairs.render_pairs import Item, RenderPairs
from datasets.pairs.source_items import ExtendedItems


class SeenShapes(Protocol):
    """What is known of the views of every shape before the training."""

    def row(self, index: int) -> np.ndarray:
        """Return the row of a shape, (D,) float32."""


class TaughtItems(ExtendedItems):
    """Items of a source with teacher (D,) float32, the same in every epoch.

    Args:
        source: makes the items; it needs no images.
        seen: of the same shapes, by index.
    """

    def __init__(self, source: RenderPairs, seen: SeenShapes):
        super().__init__(source)
        self.seen = seen

    def extend(self, item: Item) -> Item:
        try:
            return item | {"teacher": torch.from_numpy(self.seen.row(item["index"]))}
        except ValueError as error:
            raise ValueError(f"{self.files(item['index'])}: {error}") from error
