"""PointNeXt-S.

Source: Qian et al. 2022, arXiv:2206.04670; layers and their names as in guochengqian/openpoints with the settings of
ULIP (arXiv:2212.05171): the height of a point is its fourth input.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.grouping import ball_query, gather
from models.layers.local_encoder import LocalEncoder, group_max, group_offsets, grouped_conv, shared_layer
from models.layers.row_norm import norm_act

RADII = (0.15, 0.225, 0.3375, 0.50625)  # growing by 1.5
MEMBERS = 32


class SetAbstraction(nn.Module):
    """Two shared layers; with `has_skip` a linear map of the centre is added to their maximum over the group."""

    def __init__(self, before: int, middle: int, after: int, *, has_skip: bool):
        super().__init__()
        if has_skip:
            self.skipconv = nn.Sequential(nn.Conv1d(before, after, 1))
        widths = (before + 3, middle, after)
        kind, norm = nn.Conv2d, nn.BatchNorm2d
        self.convs = nn.Sequential(*(nn.Sequential(kind(a, b, 1, bias=False), norm(b)) for a, b in pairwise(widths)))

    def of_groups(self, offsets: Tensor, features: Tensor, index: Tensor, centres: Tensor) -> Tensor:
        """Describe groups. Shape: (B, S, K, 3), (B, N, C), (B, S, K), features of centres (B, S, C) -> (B, S, D)."""
        conv, norm = self.convs[0]
        x = norm_act(grouped_conv(offsets, features, index, conv), norm, 0.0)[0]
        x = group_max(shared_layer(x, *self.convs[1], slope=1.0), index.shape[2]).unflatten(0, index.shape[:2])
        skip = self.skipconv[0]
        return F.relu(x + F.linear(centres, skip.weight.flatten(1), skip.bias))

    def of_points(self, x: Tensor) -> Tensor:
        """Apply both layers to rows. Shape: (M, C + 3) -> (M, D)."""
        for conv, norm in self.convs:
            x = shared_layer(x, conv, norm)
        return x


class PointNeXt(LocalEncoder):
    """Four stages that halve the points, on balls of growing radius, then two layers and a maximum over the centres.

    Shape: points (B, N, 3) -> feature (B, emb_dims), N >= 1; y is up, and clouds should be of radius 1, as pre-training
    has them. Members of a ball beyond the first 32 by number are not seen, as published.

    Args:
        emb_dims: width of the last two layers and of the feature.
    """

    def __init__(self, emb_dims: int = 512):
        super().__init__()
        self.emb_dims = self.feature_dim = emb_dims
        stem = nn.Module()
        stem.convs = nn.Sequential(nn.Sequential(nn.Conv1d(4, 32, 1)))
        stages = [SetAbstraction(width, width, 2 * width, has_skip=True) for width in (32, 64, 128, 256)]
        last = SetAbstraction(512, emb_dims, emb_dims, has_skip=False)
        self.encoder = nn.Sequential(*(nn.Sequential(stage) for stage in (stem, *stages, last)))

    def local(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return centres, their features and the feature of the cloud, see `LocalEncoder`."""
        (stem,), *stages, (last,) = self.encoder
        conv = stem.convs[0][0]
        height = points[..., 1:2]
        inputs = torch.cat([points, height - height.amin(dim=1, keepdim=True)], dim=-1)
        features = F.linear(inputs, conv.weight.flatten(1), conv.bias)
        for (stage,), radius in zip(stages, RADII, strict=True):
            chosen = self.sample(points, max(1, points.shape[1] // 2))
            centres = gather(points, chosen)
            index = ball_query(points, centres, radius, MEMBERS)
            offsets = group_offsets(points, centres, index) / radius
            features = stage.of_groups(offsets, features, index, gather(features, chosen))
            points = centres
        rows = last.of_points(torch.cat([points, features], dim=-1).flatten(0, 1)).unflatten(0, points.shape[:2])
        return points, rows, rows.amax(dim=1)
