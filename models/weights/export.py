"""Inference copies of the encoders in plain torch operations, which torch.export can trace.

The encoders for training use operations written for speed (sparse products, a KD-tree, custom gradients) that no tracer
can follow. Here BatchNorm's running statistics are folded into the convolutions once, which leaves matrix products, a
distance matrix, topk, gathers and maxima.

Letters: B clouds of N points, K neighbours, C channels in, D channels out, M = B * N rows.
"""

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from models.affine import SLOPE
from models.encoders.dgcnn import DGCNN
from models.encoders.dgcnn_seg import DGCNNSegEncoder
from models.encoders.pointnet import PointNet
from models.encoders.pointnet_tnet import PointNetTNet
from models.encoders.registry import encoder_name
from models.encoders.tnet import TNet
from models.layers.local_encoder import LocalEncoder


class Folded(nn.Module):
    """Convolution and BatchNorm with fixed statistics as one affine map. Shape: (..., C) -> (..., D)."""

    def __init__(self, layer: nn.Sequential | tuple[nn.Module, nn.Module]):
        """Fold `layer`: a 1x1 convolution or a linear map, and the BatchNorm that follows."""
        super().__init__()
        conv, norm = layer
        gain = norm.weight.double() * torch.rsqrt(norm.running_var.double() + norm.eps)
        weight = gain[:, None] * conv.weight.flatten(1).double()
        mean = norm.running_mean.double() - (0 if conv.bias is None else conv.bias.double())
        bias = norm.bias.double() - gain * mean
        self.register_buffer("weight", weight.detach().to(conv.weight.dtype))
        self.register_buffer("bias", bias.detach().to(conv.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class EdgeBlock(nn.Module):
    """Edge convolution, optionally a second one, and the maximum over neighbours. Shape: (B, N, C) -> (B, N, D).

    Source: Wang et al. 2019, arXiv:1801.07829; as models.layers.edge_conv computes it.
    """

    def __init__(self, k: int, first: nn.Sequential, second: nn.Sequential | None = None):
        super().__init__()
        self.k = k
        self.first, self.second = Folded(first), None if second is None else Folded(second)

    def forward(self, x: Tensor) -> Tensor:
        index = neighbour_rows(x, self.k)  # (M, K)
        of_neighbour, of_centre = self.first.weight.chunk(2, dim=1)
        # Subtracting the cloud's mean, which cancels in u_j - u_i, keeps u precise far from the origin.
        u = F.linear(x - x.mean(dim=1, keepdim=True), of_neighbour).flatten(0, 1)  # (M, D)
        v = F.linear(x, of_centre, self.first.bias).flatten(0, 1) - u
        if self.second is None:
            out = F.leaky_relu(_max_over_places(lambda rows: F.embedding(rows, u), index) + v, SLOPE)
        else:
            second = self.second
            out = _max_over_places(lambda rows: second(F.leaky_relu(F.embedding(rows, u) + v, SLOPE)), index)
            out = F.leaky_relu(out, SLOPE)
        return out.unflatten(0, x.shape[:2])


def _max_over_places(edge: Callable[[Tensor], Tensor], index: Tensor) -> Tensor:
    """Return the maximum of `edge` (M,) -> (M, D) over the columns of `index` (M, K), one at a time."""
    return reduce(torch.maximum, map(edge, index.unbind(dim=1)))


def neighbour_rows(x: Tensor, k: int) -> Tensor:
    """Return each point's k nearest points, itself included, as rows of the batch. Shape: (B, N, C) -> (B * N, K)."""
    x = x - x.mean(dim=1, keepdim=True)
    score = 0.5 * x.square().sum(dim=-1)[:, None] - x @ x.transpose(1, 2)  # orders as distances do
    start = torch.arange(x.shape[0], device=x.device) * x.shape[1]
    return (score.topk(k, largest=False).indices + start[:, None, None]).flatten(0, 1)


class PlainDGCNN(nn.Module):
    """`models.encoders.dgcnn.DGCNN` in eval mode. Shape: points (B, N, 3) -> feature (B, 2 * emb_dims)."""

    def __init__(self, encoder: DGCNN):
        super().__init__()
        convs = (encoder.conv1, encoder.conv2, encoder.conv3, encoder.conv4)
        self.blocks = nn.ModuleList(EdgeBlock(encoder.k, conv) for conv in convs)
        self.projection = Folded(encoder.conv5)

    def forward(self, points: Tensor) -> Tensor:
        x = F.leaky_relu(self.projection(_all_levels(self.blocks, points)), SLOPE)  # (B, N, E)
        return torch.cat([x.amax(dim=1), x.mean(dim=1)], dim=-1)


class PlainDGCNNSeg(nn.Module):
    """`models.encoders.dgcnn_seg.DGCNNSegEncoder` in eval mode. Shape: points (B, N, 3) -> feature (B, emb_dims)."""

    def __init__(self, encoder: DGCNNSegEncoder):
        super().__init__()
        k, net = encoder.k, encoder.transform_net
        self.align_edges, self.align_projection = EdgeBlock(k, net.conv1, net.conv2), Folded(net.conv3)
        self.align_layers = nn.ModuleList([Folded((net.linear1, net.bn3)), Folded((net.linear2, net.bn4))])
        self.transform = net.transform
        stages = ((encoder.conv1, encoder.conv2), (encoder.conv3, encoder.conv4), (encoder.conv5,))
        self.blocks = nn.ModuleList(EdgeBlock(k, *convs) for convs in stages)
        self.projection = Folded(encoder.conv6)

    def forward(self, points: Tensor) -> Tensor:
        x = F.leaky_relu(self.align_projection(self.align_edges(points)).amax(dim=1), SLOPE)
        for layer in self.align_layers:
            x = F.leaky_relu(layer(x), SLOPE)
        points = points @ self.transform(x).unflatten(-1, (3, 3))
        return F.leaky_relu(self.projection(_all_levels(self.blocks, points)).amax(dim=1), SLOPE)


def _all_levels(blocks: nn.ModuleList, points: Tensor) -> Tensor:
    """Apply blocks one after another and concatenate their outputs. Shape: (B, N, 3) -> (B, N, sum of D)."""
    levels = [points]
    for block in blocks:
        levels.append(block(levels[-1]))
    return torch.cat(levels[1:], dim=-1)


class PlainPointNet(nn.Module):
    """`models.encoders.pointnet.PointNet` in eval mode. Shape: points (B, N, 3) -> feature (B, emb_dims)."""

    def __init__(self, encoder: PointNet):
        super().__init__()
        convs = (encoder.conv1, encoder.conv2, encoder.conv3, encoder.conv4, encoder.conv5)
        self.layers = nn.ModuleList(map(Folded, convs))

    def forward(self, points: Tensor) -> Tensor:
        for layer in self.layers:
            points = F.relu(layer(points))
        return points.amax(dim=1)


class FoldedLayers(nn.Sequential):
    """ReLU of `Folded` after `Folded`, made of a sequence of layer, BatchNorm and ReLU. Shape: (..., C) -> (..., D)."""

    def __init__(self, layers: nn.Sequential):
        """Fold every three of `layers`; those left over at the end are not taken."""
        triples = zip(*[iter(layers)] * 3, strict=False)
        super().__init__(*(part for layer, norm, _ in triples for part in (Folded((layer, norm)), nn.ReLU())))


class PlainTNet(nn.Module):
    """`models.encoders.tnet.TNet` in eval mode. Shape: points or features (B, N, C) -> the same, aligned."""

    def __init__(self, net: TNet):
        super().__init__()
        self.of_points, self.of_cloud, self.last = FoldedLayers(net.mlp1), FoldedLayers(net.mlp2), net.mlp2[-1]
        self.register_buffer("identity", torch.eye(net.channels, dtype=self.last.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.last(self.of_cloud(self.of_points(x).amax(dim=1))).unflatten(-1, self.identity.shape)
        return x @ (matrix + self.identity).transpose(1, 2)


class PlainPointNetTNet(nn.Sequential):
    """`models.encoders.pointnet_tnet.PointNetTNet` in eval mode. Shape: points (B, N, 3) -> feature (B, emb_dims)."""

    def __init__(self, encoder: PointNetTNet):
        aligned = (PlainTNet(encoder.stn1), FoldedLayers(encoder.mlp1), PlainTNet(encoder.stn2))
        super().__init__(*aligned, FoldedLayers(encoder.mlp2))

    def forward(self, points: Tensor) -> Tensor:
        return super().forward(points).amax(dim=1)


_PLAIN = {
    DGCNN: PlainDGCNN,
    DGCNNSegEncoder: PlainDGCNNSeg,
    PointNet: PlainPointNet,
    PointNetTNet: PlainPointNetTNet,
}


def plain_encoder(encoder: nn.Module) -> nn.Module:
    """Copy an encoder for inference, on the same device; equal up to rounding and ties between neighbours.

    Raises:
        TypeError: not an encoder of `models.encoders.registry`.
        ValueError: one that samples farthest points, each of which depends on those before it.
    """
    if isinstance(encoder, LocalEncoder):
        raise ValueError(
            f"{encoder_name(encoder)} samples farthest points one after another, which no exported program here can "
            "do: pass --format safetensors, which every program here reads"
        )
    if type(encoder) not in _PLAIN:
        raise TypeError(f"expected one of {', '.join(kind.__name__ for kind in _PLAIN)}, got {type(encoder).__name__}")
    return _PLAIN[type(encoder)](encoder).eval()


def export_encoder(encoder: nn.Module) -> ExportedProgram:
    """Trace an encoder: points (B, N, 3) float32 -> feature (B, D), for any B >= 1 and any N >= k.

    The program checks shapes but, unlike the encoder, not that all points are finite.
    """
    least = max(getattr(encoder, "k", 1), 2)  # tracing treats a dimension of 1 as a constant
    example = torch.rand(3, 2 * least + 1, 3, device=next(encoder.parameters()).device)
    sizes = {0: Dim("clouds", min=1), 1: Dim("points", min=least)}
    return torch.export.export(plain_encoder(encoder), (example,), dynamic_shapes=(sizes,))
