"""PointNet++ with single-scale grouping.

Source: Qi et al. 2017, arXiv:1706.02413; layers and their names as in yanx27/Pointnet_Pointnet2_pytorch, which ULIP
(arXiv:2212.05171) took over.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.layers.grouping import ball_query, gather
from models.layers.local_encoder import LocalEncoder, describe_groups, group_offsets, stacked_layers

STAGES = ((512, 0.2, 32), (128, 0.4, 64))  # centres, radius of their balls, most members


class SetAbstraction(nn.Module):
    """Three shared layers. Parameters are named as published; `PointNet2` says what the layers are applied to."""

    def __init__(self, *widths: int):
        super().__init__()
        self.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])

    @property
    def layers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of convolution and BatchNorm."""
        return list(zip(self.mlp_convs, self.mlp_bns, strict=True))


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
        for stage, (count, radius, size) in zip((self.sa1, self.sa2), STAGES, strict=True):
            centres = gather(points, self.sample(points, count))
            index = ball_query(points, centres, radius, size)
            features = describe_groups(group_offsets(points, centres, index), features, index, stage.layers)
            points = centres
        rows = stacked_layers(torch.cat([points, features], dim=-1).flatten(0, 1), self.sa3.layers)
        rows = rows.unflatten(0, points.shape[:2])
        return points, rows, rows.amax(dim=1)
