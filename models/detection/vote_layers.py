"""Layers of VoteNet's PointNet++ under their published names.

Letters: B scenes, N points, S centres, C channels in, D channels out.
"""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.layers.grouping import ball_query, interpolate
from models.layers.local_encoder import describe_groups, group_offsets, stacked_layers


class SharedLayers(nn.Module):
    """1x1 convolutions without bias, each with a BatchNorm: layer0.conv, layer0.bn.bn, layer1.conv and so on."""

    def __init__(self, *widths: int):
        super().__init__()
        for number, (before, after) in enumerate(pairwise(widths)):
            layer = nn.Module()
            layer.conv = nn.Conv2d(before, after, 1, bias=False)
            layer.bn = nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(after)))
            nn.init.kaiming_normal_(layer.conv.weight)
            self.add_module(f"layer{number}", layer)

    @property
    def layers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of convolution and BatchNorm."""
        return [(layer.conv, layer.bn.bn) for layer in self.children()]


class BallLayers(nn.Module):
    """Describe the balls around centres: offsets in radii and features of their members, shared layers, a maximum.

    Args:
        radius: of a ball, > 0, metres.
        count: members of a ball, the first by number; of a ball with fewer the first again.
        channels: C of the features.
        widths: of the layers; the last is D.
    """

    def __init__(self, radius: float, count: int, channels: int, widths: tuple[int, ...]):
        super().__init__()
        self.radius, self.count = radius, count
        self.mlp_module = SharedLayers(channels + 3, *widths)

    def forward(self, points: Tensor, features: Tensor | None, centres: Tensor) -> Tensor:
        """Shape: (B, N, 3), (B, N, C) or None, (B, S, 3) -> (B, S, D); each centre is one of the points."""
        index = ball_query(points, centres, self.radius, self.count)
        offsets = group_offsets(points, centres, index) / self.radius
        return describe_groups(offsets, features, index, self.mlp_module.layers)


class CarryLayers(nn.Module):
    """Carry features of few centres to more points, and mix them with those the points have, by shared layers.

    The three nearest centres count by 1 / distance, not by its square as in the paper of PointNet++.
    """

    def __init__(self, *widths: int):
        super().__init__()
        self.mlp = SharedLayers(*widths)

    def forward(self, features: Tensor, centres: Tensor, own: Tensor, points: Tensor) -> Tensor:
        """Shape: (B, S, C), (B, S, 3), (B, N, E), (B, N, 3) -> (B, N, D), C + E the first width."""
        x = torch.cat([interpolate(features, centres, points, power=1), own], dim=-1)
        return stacked_layers(x.flatten(0, 1), self.mlp.layers).unflatten(0, x.shape[:2])
