"""PointMLP.

Source: Ma et al. 2022, arXiv:2202.07123; layers and their names as in ma-xu/pointMLP-pytorch, which ULIP
(arXiv:2212.05171) took over.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.grouping import gather, nearest_points
from models.layers.local_encoder import LocalEncoder, group_max, shared_layer
from models.layers.row_norm import norm_act

ANCHORS = (512, 256, 128, 64)  # centres of each stage, of clouds of any size
NEIGHBOURS = 24


def _layer(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(before, after, 1, bias=False), nn.BatchNorm1d(after))


class ConvBNReLU(nn.Module):
    """One shared layer. Shape: (M, C) -> (M, D)."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.net = _layer(before, after)

    def forward(self, x: Tensor) -> Tensor:
        return shared_layer(x, *self.net)


class Residual(nn.Module):
    """Two shared layers around which the input is passed. Shape: (M, C) -> (M, C)."""

    def __init__(self, width: int):
        super().__init__()
        self.net1, self.net2 = _layer(width, width), _layer(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(shared_layer(shared_layer(x, *self.net1), *self.net2, slope=1.0) + x)


class Residuals(nn.Module):
    """Two residual blocks. Shape: (M, C) -> (M, C)."""

    def __init__(self, width: int):
        super().__init__()
        self.operation = nn.Sequential(Residual(width), Residual(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.operation(x)


class PreExtraction(Residuals):
    """A shared layer on [members of a group, its centre], two residual blocks, the maximum over the group."""

    def __init__(self, before: int, width: int):
        super().__init__(width)
        self.transfer = ConvBNReLU(2 * before, width)

    def forward(self, members: Tensor, anchors: Tensor) -> Tensor:
        """Describe groups. Shape: (B, S, K, C), (B, S, C) -> (B * S, D)."""
        conv, norm = self.transfer.net
        of_members, of_anchors = conv.weight.flatten(1).chunk(2, dim=1)
        x = F.linear(members, of_members) + F.linear(anchors, of_anchors)[:, :, None]
        x = norm_act(x.to(torch.promote_types(x.dtype, torch.float32)).flatten(0, 2), norm, 0.0)[0]
        return group_max(self.operation(x), members.shape[2])


class LocalGrouper(nn.Module):
    """The geometric affine module: members relative to their centre, over the deviation in the whole cloud."""

    def __init__(self, width: int):
        super().__init__()
        self.affine_alpha = nn.Parameter(torch.ones(1, 1, 1, width))
        self.affine_beta = nn.Parameter(torch.zeros(1, 1, 1, width))

    def forward(self, features: Tensor, anchors: Tensor, index: Tensor) -> Tensor:
        """Gather and normalise. Shape: (B, N, C), (B, S, C), (B, S, K) -> (B, S, K, C)."""
        difference = gather(features, index) - anchors[:, :, None]
        deviation = difference.flatten(1).std(dim=1)[:, None, None, None]
        return self.affine_alpha * (difference / (deviation + 1e-5)) + self.affine_beta


class PointMLP(LocalEncoder):
    """Four stages of residual layers on groups of 24 nearest points, then a maximum over 64 centres.

    Shape: points (B, N, 3) -> feature (B, emb_dims), N >= 1.

    Args:
        emb_dims: width of the last stage and of the feature.
    """

    starts_anywhere = True

    def __init__(self, emb_dims: int = 1024):
        super().__init__()
        self.emb_dims = self.feature_dim = emb_dims
        widths = (64, 128, 256, 512, emb_dims)
        self.embedding = ConvBNReLU(3, 64)
        self.local_grouper_list = nn.ModuleList(map(LocalGrouper, widths[:-1]))
        self.pre_blocks_list = nn.ModuleList(map(PreExtraction, widths[:-1], widths[1:]))
        self.pos_blocks_list = nn.ModuleList(map(Residuals, widths[1:]))

    def local(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return centres, their features and the feature of the cloud, see `LocalEncoder`."""
        features = self.embedding(points.flatten(0, 1)).unflatten(0, points.shape[:2])
        stages = zip(ANCHORS, self.local_grouper_list, self.pre_blocks_list, self.pos_blocks_list, strict=True)
        for count, grouper, of_groups, of_centres in stages:
            chosen = self.sample(points, count)
            centres, anchors = gather(points, chosen), gather(features, chosen)
            _, index = nearest_points(points, centres, NEIGHBOURS)
            x = of_centres(of_groups(grouper(features, anchors, index), anchors))
            points, features = centres, x.unflatten(0, centres.shape[:2])
        return points, features, features.amax(dim=1)
