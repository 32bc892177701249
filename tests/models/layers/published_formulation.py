"""DGCNN as published, with its (B, 2C, N, K) edge tensor: the slow reference our encoders must equal.

Source: Wang et al. 2019, arXiv:1801.07829, eq. 8 with h(x_i, x_j) = [x_j - x_i, x_i].
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def edge_features(x: Tensor, index: Tensor) -> Tensor:
    """Build [neighbour - centre, centre] of every edge. Shape: (B, N, C), (B, N, K) -> (B, 2C, N, K)."""
    neighbour = torch.stack([cloud[rows] for cloud, rows in zip(x, index, strict=True)])
    centre = x[:, :, None].expand_as(neighbour)
    return torch.cat([neighbour - centre, centre], dim=-1).permute(0, 3, 1, 2).contiguous()


def edge_conv(x: Tensor, index: Tensor, layer: nn.Sequential) -> Tensor:
    """Compute max over K of LeakyReLU(BatchNorm(conv(edges))). Shape: (B, N, C) -> (B, N, D)."""
    return stacked_edge_convs(x, index, (layer,))


def exact_knn(x: Tensor, k: int) -> Tensor:
    """Find the k nearest rows by distances computed in float64 without cancellation."""
    distance = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(k, largest=False).indices


def dgcnn(points: Tensor, encoder: nn.Module) -> Tensor:
    """Compute the classification encoder's feature with the weights and k of `encoder`."""
    x, levels = points, []
    for layer in (encoder.conv1, encoder.conv2, encoder.conv3, encoder.conv4):
        x = edge_conv(x, exact_knn(x.detach(), encoder.k), layer)
        levels.append(x)
    x = pointwise(torch.cat(levels, dim=-1), encoder.conv5)
    return torch.cat([x.max(dim=1).values, x.mean(dim=1)], dim=-1)


def dgcnn_seg(points: Tensor, encoder: nn.Module) -> Tensor:
    """Compute the part-segmentation encoder's feature with the weights and k of `encoder`."""
    matrix = transform(points, encoder)
    x, levels = points @ matrix, []
    for layers in ((encoder.conv1, encoder.conv2), (encoder.conv3, encoder.conv4), (encoder.conv5,)):
        x = stacked_edge_convs(x, exact_knn(x.detach(), encoder.k), layers)
        levels.append(x)
    return pointwise(torch.cat(levels, dim=-1), encoder.conv6).max(dim=1).values


def transform(points: Tensor, encoder: nn.Module) -> Tensor:
    """Compute the alignment matrices (B, 3, 3) of the part-segmentation encoder."""
    net = encoder.transform_net
    x = stacked_edge_convs(points, exact_knn(points.detach(), encoder.k), (net.conv1, net.conv2))
    x = pointwise(x, net.conv3).max(dim=1).values
    x = F.leaky_relu(net.bn3(net.linear1(x)), 0.2)
    x = F.leaky_relu(net.bn4(net.linear2(x)), 0.2)
    return net.transform(x).unflatten(-1, (3, 3))


def stacked_edge_convs(x: Tensor, index: Tensor, layers: Sequence[nn.Sequential]) -> Tensor:
    """Convolve all edges, layer after layer, and take the maximum over K. Shape: (B, N, C) -> (B, N, D)."""
    edges = edge_features(x, index)
    for layer in layers:
        edges = F.leaky_relu(layer[1](layer[0](edges)), 0.2)
    return edges.max(dim=-1).values.transpose(1, 2)


def pointwise(x: Tensor, layer: nn.Sequential) -> Tensor:
    """Compute LeakyReLU(BatchNorm(conv(points))). Shape: (B, N, C) -> (B, N, D)."""
    return F.leaky_relu(layer[1](layer[0](x.transpose(1, 2))), 0.2).transpose(1, 2)
