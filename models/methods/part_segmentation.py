"""Supervised part segmentation as a method: one cross-entropy term."""

from torch import nn

from models.losses.smoothed_ce import smoothed_cross_entropy
from models.methods.method import Batch, Method, Terms

LABEL_SMOOTHING = 0.2


class PartSegmentation(Method):
    """Smoothed cross-entropy of every point over the parts of all categories.

    Args:
        network: points (B, N, 3), category (B,) -> logits (B, N, num_parts).
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Terms:
        """Return {"loss/part": scalar} of a batch of points (B, N, 3), category (B,) and part_label (B, N)."""
        logits = self.network(batch["points"], batch["category"])
        return {"loss/part": smoothed_cross_entropy(logits.float(), batch["part_label"], LABEL_SMOOTHING)}
