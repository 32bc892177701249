"""Supervised part segmentation as a method: cross-entropy, and where a network has T-Nets their penalty."""

from torch import nn

from models.encoders.tnet import penalty_term
from models.losses.smoothed_ce import smoothed_cross_entropy
from models.methods.method import Batch, Method, Terms

LABEL_SMOOTHING = 0.2


class PartSegmentation(Method):
    """Smoothed cross-entropy of every point over the parts of all categories, and the penalty of T-Nets.

    Args:
        network: points (B, N, 3), category (B,) -> logits (B, N, num_parts).
        transform_weight: factor of the penalty, which is summed over the clouds of the batch, not averaged.
    """

    def __init__(self, network: nn.Module, transform_weight: float = 0.0):
        super().__init__()
        self.network, self.transform_weight = network, transform_weight

    def forward(self, batch: Batch) -> Terms:
        """Return {"loss/part": scalar}, and "loss/transform" if any.

        Args:
            batch: points (B, N, 3), category (B,) and part_label (B, N).
        """
        logits = self.network(batch["points"], batch["category"])
        loss = smoothed_cross_entropy(logits.float(), batch["part_label"], LABEL_SMOOTHING)
        return {"loss/part": loss, **penalty_term(self.network, self.transform_weight)}
