"""What encoders that describe a cloud by groups of points have in common.

Letters: B clouds, N points, S centres, K points of a group, C channels in, D channels out, M rows.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.farthest_points import farthest_order
from models.layers.grouping import gather, interpolate
from models.layers.row_norm import linear, norm_act


class LocalEncoder(nn.Module):
    """Base of encoders that end in a feature for each of a few centres, whose maximum is the cloud's.

    Shape: points (B, N, 3) -> feature (B, feature_dim), for any N >= 1: where a cloud has fewer points than centres or
    than a group, all of them are taken.

    Raises:
        ValueError: weights in half precision, at the call.
    """

    emb_dims: int
    feature_dim: int
    starts_anywhere = False  # whether training samples centres from a random point on, out of torch's generator

    def local(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return centres (B, S, 3), their features (B, S, emb_dims) and the feature of the cloud (B, feature_dim)."""
        raise NotImplementedError

    def forward(self, points: Tensor) -> Tensor:
        """Return the feature of each cloud."""
        self._check_weights()
        return self.local(points)[2]

    def dense(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of every point (B, N, emb_dims), between those of centres, and their maximum (B, emb_dims).

        The maximum is that over the centres.
        """
        self._check_weights()
        centres, rows, _ = self.local(points)
        return interpolate(rows, centres, points), rows.amax(dim=1)

    def sample(self, points: Tensor, count: int) -> Tensor:
        """Return the numbers of farthest points, all N where `count` is larger. Shape: (B, N, 3) -> (B, S)."""
        first = None
        if self.training and self.starts_anywhere:
            first = torch.randint(points.shape[1], (len(points),), device=points.device)
        return farthest_order(points.detach(), min(count, points.shape[1]), first)

    def _check_weights(self) -> None:
        weight = next(self.parameters())
        if weight.dtype.itemsize < 4:
            raise ValueError(
                f"weights in {weight.dtype}: this encoder computes with weights in float32 or float64 only; keep those "
                f'and call the network under torch.autocast("{weight.device.type}", dtype={weight.dtype})'
            )


def shared_layer(x: Tensor, conv: nn.Module, norm: nn.Module, slope: float = 0.0) -> Tensor:
    """Apply a 1x1 convolution, BatchNorm and an activation to rows: ReLU, none for slope 1. Shape: (M, C) -> (M, D)."""
    return norm_act(linear(x, conv.weight.flatten(1), conv.bias), norm, slope)[0]


def stacked_layers(x: Tensor, layers: Iterable[tuple[nn.Module, nn.Module]]) -> Tensor:
    """Apply pairs of a 1x1 convolution and a BatchNorm, each followed by ReLU, to rows. Shape: (M, C) -> (M, D)."""
    for conv, norm in layers:
        x = shared_layer(x, conv, norm)
    return x


def describe_groups(
    offsets: Tensor, features: Tensor | None, index: Tensor, layers: Iterable[tuple[nn.Module, nn.Module]]
) -> Tensor:
    """Apply `stacked_layers` to [offset, feature] of every member of every group, and take their maximum.

    Shape: (B, S, K, 3), (B, N, C) or None, (B, S, K) -> (B, S, D).
    """
    (conv, norm), *rest = layers
    x = norm_act(grouped_conv(offsets, features, index, conv), norm, 0.0)[0]
    return group_max(stacked_layers(x, rest), index.shape[2]).unflatten(0, index.shape[:2])


def group_offsets(points: Tensor, centres: Tensor, index: Tensor) -> Tensor:
    """Return members of groups relative to their centre. Shape: (B, N, 3), (B, S, 3), (B, S, K) -> (B, S, K, 3)."""
    return gather(points, index) - centres[:, :, None]


def grouped_conv(offsets: Tensor, features: Tensor | None, index: Tensor, conv: nn.Module) -> Tensor:
    """Apply a 1x1 convolution to [offset, feature] of every member of every group.

    Features are multiplied before they are gathered, when there are fewer rows.

    Shape: (B, S, K, 3), (B, N, C) or None, (B, S, K) -> (B * S * K, D) in at least float32.
    """
    weight = conv.weight.flatten(1)
    x = F.linear(offsets, weight[:, :3], conv.bias)
    if features is not None:
        x = x + gather(F.linear(features, weight[:, 3:]), index)
    return x.to(torch.promote_types(x.dtype, torch.float32)).flatten(0, 2)


def group_max(x: Tensor, size: int) -> Tensor:
    """Return the maximum of every `size` consecutive rows; its gradient goes to one of them. Shape: (M, D) -> (M/K, D).

    `amax` would share it out, for three times the time.
    """
    return x.unflatten(0, (-1, size)).max(dim=1).values
