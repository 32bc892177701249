"""Supervised classification as a method: cross-entropy, and where an encoder has T-Nets their penalty."""

from typing import Self

from torch import Tensor, nn

from models.encoders.tnet import penalty_term
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
    """Cross-entropy of every cloud over the classes, and the penalty of T-Nets that are trained.

    Args:
        network: points (B, N, 3) -> logits (B, Y).
        label_smoothing: share of the target spread over the other classes; 0 is plain cross-entropy.
        transform_weight: factor of the penalty, which is summed over the clouds of the batch, not averaged.
    """

    def __init__(self, network: nn.Module, label_smoothing: float = 0.0, transform_weight: float = 0.0):
        super().__init__()
        self.network = network
        self.label_smoothing, self.transform_weight = label_smoothing, transform_weight

    def forward(self, batch: Batch) -> Terms:
        """Return {"loss/class": scalar} of a batch of points (B, N, 3) and label (B,), and "loss/transform" if any."""
        logits = self.network(batch["points"])
        loss = smoothed_cross_entropy(logits.float(), batch["label"], self.label_smoothing)
        return {"loss/class": loss, **penalty_term(self.network, self.transform_weight)}
