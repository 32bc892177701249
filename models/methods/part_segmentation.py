"""Part segmentation as a method of the training engine: one supervised term."""

from torch import Tensor, nn

from models.losses.smoothed_ce import smoothed_cross_entropy

LABEL_SMOOTHING = 0.2


class PartSegmentation(nn.Module):
    """Smoothed cross-entropy of every point over the parts of all categories.

    Args:
        network: points (B, N, 3), category (B,) -> logits (B, N, num_parts).
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Batch of points (B, N, 3), category (B,), part_label (B, N) -> {"loss/part": scalar}."""
        logits = self.network(batch["points"], batch["category"])
        return {"loss/part": smoothed_cross_entropy(logits.float(), batch["part_label"], LABEL_SMOOTHING)}
