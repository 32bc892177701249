"""PointNet encoder without alignment networks.

Source: Qi et al. 2017, arXiv:1612.00593; the five-layer form that CrossPoint's authors name for their PointNet
rows (WangYueFt/dgcnn, pytorch/model.py).
"""

import torch.nn.functional as F
from torch import Tensor, nn


class PointNet(nn.Module):
    """Five shared layers on single points, then a global maximum.

    Shape: points (B, N, 3) -> feature (B, emb_dims).

    Args:
        emb_dims: width of the last layer and of the feature.
        in_channels: numbers of a point.
    """

    def __init__(self, emb_dims: int = 1024, in_channels: int = 3):
        super().__init__()
        self.emb_dims = self.feature_dim = emb_dims
        widths = (in_channels, 64, 64, 64, 128, emb_dims)
        self.point_dim = sum(widths[1:])
        for i in range(5):
            conv = nn.Conv1d(widths[i], widths[i + 1], 1, bias=False)
            setattr(self, f"conv{i + 1}", nn.Sequential(conv, nn.BatchNorm1d(widths[i + 1])))

    def forward(self, points: Tensor) -> Tensor:
        return self.per_point(points)[1]

    def per_point(self, points: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return every point's features after each layer, five (B * N, C), and each cloud's feature."""
        x, levels = points.flatten(0, 1), []
        for conv, norm in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = F.relu(norm(F.linear(x, conv.weight.flatten(1))), inplace=True)
            levels.append(x)
        return levels, x.unflatten(0, points.shape[:2]).amax(dim=1)

    def pooled_layers(self, points: Tensor) -> list[Tensor]:
        """Return the maximum over each cloud of every layer, five (B, C); the last is the feature."""
        levels, feature = self.per_point(points)
        return [*(level.unflatten(0, points.shape[:2]).amax(dim=1) for level in levels[:-1]), feature]

    def dense(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return every point's activations in the last layer (B, N, emb_dims) and their maximum (B, emb_dims)."""
        levels, feature = self.per_point(points)
        return levels[-1].unflatten(0, points.shape[:2]), feature
