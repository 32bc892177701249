"""PointNet++ with single-scale grouping.

Source: Qi et al. 2017, arXiv:1706.02413; layers and their names as in yanx27/Pointnet_Pointnet2_pytorch, which ULIP
(arXiv:2212.05171) took over.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.layers.grouping import ball_query, gather
from models.layers.local_encoder import LocalEncoder, group_max, group_offsets, grouped_conv, shared_layer
from models.layers.row_norm import norm_act

STAGES = ((512, 0.2, 32), (128, 0.4, 64))  # centres, radius of their balls, most members


class SetAbstraction(nn.Module):
    """Three shared layers. Parameters are named as published; `PointNet2` says what the layers are applied to."""

    def __init__(self, *widths: int):
        super().__init__()
        self.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])

    def of_groups(self, offsets: Tensor, features: Tensor | None, index: Tensor) -> Tensor:
        """Describe groups of points. Shape: (B, S, K, 3), (B, N, C) or None, (B, S, K) -> (B, S, D)."""
        x = grouped_conv(offsets, features, index, self.mlp_convs[0])
        x = self.rest(norm_act(x, self.mlp_bns[0], 0.0)[0], 1)
        return group_max(x, index.shape[2]).unflatten(0, index.shape[:2])

    def rest(self, x: Tensor, first: int = 0) -> Tensor:
        """Apply the layers from number `first` on to rows. Shape: (M, C) -> (M, D)."""
        for conv, norm in list(zip(self.mlp_convs, self.mlp_bns, strict=True))[first:]:
            x = shared_layer(x, conv, norm)
        return x


class PointNet2(LocalEncoder):
    """Balls of radius 0.2 around 512 points, of 0.4 around 128 of them, then a maximum over these 128.

    Shape: points (B, N, 3) -> feature (B, emb_dims), N >= 1. Clouds should be of radius 1, as pre-training has them.
    Members of a ball beyond the first 32 (64) by number are not seen, as published.

    Args:
        emb_dims: width of the last layer and of the feature.
    """

    starts_anywhere = True

    def __init__(self, emb_dims: int = 1024):
        super().__init__()
        self.emb_dims = self.feature_dim = emb_dims
        self.sa1 = SetAbstraction(3, 64, 64, 128)
        self.sa2 = SetAbstraction(128 + 3, 128, 128, 256)
        self.sa3 = SetAbstraction(256 + 3, 256, 512, emb_dims)

    def local(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return centres, their features and the feature of the cloud, see `LocalEncoder`."""
        features = None
        for layers, (count, radius, size) in zip((self.sa1, self.sa2), STAGES, strict=True):
            centres = gather(points, self.sample(points, count))
            index = ball_query(points, centres, radius, size)
            features = layers.of_groups(group_offsets(points, centres, index), features, index)
            points = centres
        rows = self.sa3.rest(torch.cat([points, features], dim=-1).flatten(0, 1)).unflatten(0, points.shape[:2])
        return points, rows, rows.amax(dim=1)
