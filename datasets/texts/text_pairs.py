"""Pre-training items of clouds and views with the embedding of a text."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from datasets.pairs.render_pairs import Item, RenderPairs
from datasets.pairs.source_items import ExtendedItems

_TEXT = 1  # stream of random numbers beside those of the source


class TextPairs(ExtendedItems):
    """Items of a source with text (D,) float32, and text_id, equal for equal texts.

    A shape of several texts has one of them, drawn from (seed, epoch, index).

    Args:
        source: makes the items; its seed and epoch are this data set's.
        texts: of each shape, by index.
        table: (T, D) embeddings of all texts, in the order of `rows`.
        rows: text -> row of `table`.
    """

    def __init__(self, source: RenderPairs, texts: Sequence[Sequence[str]], table: Tensor, rows: dict[str, int]):
        super().__init__(source)
        self.table = table
        self.text_rows = [np.array([rows[text] for text in own]) for own in texts]

    def extend(self, item: Item) -> Item:
        rows = self.text_rows[item["index"]]
        rng = np.random.default_rng((self.seed, self.epoch, item["index"], _TEXT))
        row = int(rows[rng.integers(len(rows))])
        return item | {"text": self.table[row], "text_id": row}


def text_rows(texts: Sequence[Sequence[str]]) -> dict[str, int]:
    """Number all different texts in sorted order."""
    return {text: row for row, text in enumerate(sorted({text for own in texts for text in own}))}
