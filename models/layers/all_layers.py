"""Features that hold all layers of an encoder, not the last alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AllLayers(nn.Module):
    """The pooled features of an encoder's layers side by side, each layer's at unit length.

    So each layer has the same weight in a distance or a cosine, whatever the scale of its activations.

    Shape: points (B, N, 3) -> feature (B, D), D the sum of the layers' widths; the encoder's own feature comes last.

    Args:
        encoder: has `pooled_layers(points) -> list of (B, C)`.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, points: Tensor) -> Tensor:
        return torch.cat([F.normalize(layer, dim=-1) for layer in self.encoder.pooled_layers(points)], dim=-1)
