"""Items for contrast between sets of views: two augmented sets of each shape."""

import numpy as np
import torch
from torch import Tensor

from datasets.pairs.render_pairs import Item, RenderPairs
from datasets.pairs.source_items import SourceItems
from datasets.transforms.view_augment import ViewAugment


class ViewSets(SourceItems):
    """Items are dicts of views_a and views_b, (V, 3, S, S) float32, and index.

    While a shape has enough views, the two sets share none.

    Args:
        source: its views are read.
        num_views: V, in each set.
        image_size: S, pixels.
        augment: of every view.
        seed: of the run, >= 0.
    """

    def __init__(self, source: RenderPairs, num_views: int, image_size: int, augment: ViewAugment, seed: int):
        super().__init__(source, seed)
        self.num_views, self.image_size, self.augment = num_views, image_size, augment

    def make_item(self, index: int, rng: np.random.Generator) -> Item:
        chosen = _draw_two_sets(self.source.num_views(index), self.num_views, rng)
        views_a, views_b = (self._read(index, views, rng) for views in chosen)
        return {"views_a": views_a, "views_b": views_b}

    def _read(self, index: int, views: np.ndarray, rng: np.random.Generator) -> Tensor:
        return torch.stack([self._view(index, int(view), rng) for view in views])

    def _view(self, index: int, view: int, rng: np.random.Generator) -> Tensor:
        return self.augment(self.source.draw_pixels(index, view, rng), self.image_size, rng)


def _draw_two_sets(available: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Draw two sets of views: disjoint if there are enough, else each without repetition as far as it goes. (2, V)."""
    if available >= 2 * wanted:
        return rng.permutation(available)[: 2 * wanted].reshape(2, wanted)
    turns = -(-wanted // available)
    return np.stack([np.concatenate([rng.permutation(available) for _ in range(turns)])[:wanted] for _ in range(2)])
