"""Supervised classification as a method: one cross-entropy term."""

from typing import Self

from torch import Tensor, nn

from models.layers.heads import classifier
from models.losses.smoothed_ce import smoothed_cross_entropy
from models.methods.method import Batch, Method, Terms


class CloudClassifier(nn.Module):
    """Encoder followed by a classifier on its feature.

    Shape: points (B, N, 3) -> logits (B, Y).

    Args:
        point_encoder: points (B, N, 3) -> feature (B, point_encoder.feature_dim).
        num_classes: Y.
        dropout: in the classifier.
        is_frozen: give the encoder no gradient and keep it in eval mode, so that its BatchNorm buffers do not move.
    """

    def __init__(self, point_encoder: nn.Module, num_classes: int, *, dropout: float = 0.5, is_frozen: bool = False):
        super().__init__()
        self.point_encoder = point_encoder
        self.classifier = classifier(point_encoder.feature_dim, num_classes, dropout)
        self.is_frozen = is_frozen
        if is_frozen:
            point_encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Set train or eval mode, except for a frozen encoder, which stays in eval mode."""
        super().train(mode)
        if self.is_frozen:
            self.point_encoder.eval()
        return self

    def forward(self, points: Tensor) -> Tensor:
        return self.classifier(self.point_encoder(points))


class Classification(Method):
    """Cross-entropy of every cloud over the classes.

    Args:
        network: points (B, N, 3) -> logits (B, Y).
        label_smoothing: share of the target spread over the other classes; 0 is plain cross-entropy.
    """

    def __init__(self, network: nn.Module, label_smoothing: float = 0.0):
        super().__init__()
        self.network = network
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> Terms:
        """Return {"loss/class": scalar} of a batch of points (B, N, 3) and label (B,)."""
        logits = self.network(batch["points"])
        return {"loss/class": smoothed_cross_entropy(logits.float(), batch["label"], self.label_smoothing)}
