"""Point towers as their published code computes them: one layout for all layers, every distance, a full sort.

Layers, names and order of operations follow yanx27/Pointnet_Pointnet2_pytorch, ma-xu/pointMLP-pytorch,
guochengqian/openpoints, Julie-tang00/Point-BERT and salesforce/ULIP; their compiled operations are written in torch.
Each maps points (B, N, 3) to the feature under the classifier.

Letters: B clouds, N points, S centres, K points of a group, C channels.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def square_distance(a: Tensor, b: Tensor) -> Tensor:
    """Compute all squared distances by a matrix product. Shape: (B, S, C), (B, N, C) -> (B, S, N)."""
    product = -2 * a @ b.transpose(1, 2)
    return product + a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None]


def index_points(points: Tensor, index: Tensor) -> Tensor:
    """Take points by number. Shape: (B, N, C), (B, ...) -> (B, ..., C)."""
    batch = torch.arange(len(points), device=points.device).view(-1, *[1] * (index.ndim - 1))
    return points[batch.expand_as(index), index]


def farthest_point_sample(points: Tensor, count: int, farthest: Tensor) -> Tensor:
    """Sample in a loop from the points `farthest` (B,) on. Shape: (B, N, 3) -> (B, S)."""
    batch, num_points, _ = points.shape
    centroids = torch.zeros(batch, count, dtype=torch.long, device=points.device)
    distance = torch.full((batch, num_points), 1e10, dtype=points.dtype, device=points.device)
    rows = torch.arange(batch, device=points.device)
    for step in range(count):
        centroids[:, step] = farthest
        centroid = points[rows, farthest][:, None]
        found = ((points - centroid) ** 2).sum(-1)
        mask = found < distance
        distance[mask] = found[mask]
        farthest = distance.max(-1)[1]
    return centroids


def query_ball_point(radius: float, count: int, points: Tensor, centres: Tensor) -> Tensor:
    """Sort the numbers of all points, those outside of the ball last, and take the first. Shape: -> (B, S, K)."""
    batch, num_points, _ = points.shape
    index = torch.arange(num_points, device=points.device).repeat(batch, centres.shape[1], 1)
    index[square_distance(centres, points) > radius**2] = num_points
    index = index.sort(dim=-1)[0][..., :count]
    first = index[..., :1].expand_as(index)
    return torch.where(index == num_points, first, index)


def knn_point(count: int, points: Tensor, centres: Tensor) -> Tensor:
    """Take the nearest out of all distances. Shape: (B, N, 3), (B, S, 3) -> (B, S, K)."""
    return square_distance(centres, points).topk(count, dim=-1, largest=False, sorted=False)[1]


class Tower(nn.Module):
    """Base: where sampling starts, at random in train mode if `starts_anywhere`, else at point 0."""

    starts_anywhere = False

    def sample(self, points: Tensor, count: int) -> Tensor:
        """Sample farthest points. Shape: (B, N, 3) -> (B, S)."""
        start = torch.zeros(len(points), dtype=torch.long, device=points.device)
        if self.training and self.starts_anywhere:
            start = torch.randint(0, points.shape[1], (len(points),), dtype=torch.long, device=points.device)
        return farthest_point_sample(points, count, start)


class PublishedPointNet2(Tower):
    """PointNet++ SSG; `stages`: centres, radius and members of both."""

    starts_anywhere = True

    def __init__(self, stages: tuple[tuple[int, float, int], ...]):
        super().__init__()
        self.stages = stages
        for number, widths in enumerate(((3, 64, 64, 128), (131, 128, 128, 256), (259, 256, 512, 1024)), start=1):
            layers = nn.Module()
            layers.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
            layers.mlp_bns = nn.ModuleList(nn.BatchNorm2d(b) for b in widths[1:])
            self.add_module(f"sa{number}", layers)

    def forward(self, points: Tensor) -> Tensor:
        features = None
        for layers, (count, radius, size) in zip((self.sa1, self.sa2), self.stages, strict=True):
            centres = index_points(points, self.sample(points, count))
            index = query_ball_point(radius, size, points, centres)
            x = index_points(points, index) - centres[:, :, None]
            if features is not None:
                x = torch.cat([x, index_points(features, index)], dim=-1)
            features = self._describe(layers, x)
            points = centres
        return self._describe(self.sa3, torch.cat([points, features], dim=-1)[:, None])[:, 0]

    @staticmethod
    def _describe(layers: nn.Module, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 2, 1)  # (B, C, K, S)
        for conv, norm in zip(layers.mlp_convs, layers.mlp_bns, strict=True):
            x = F.relu(norm(conv(x)))
        return x.max(2)[0].transpose(1, 2)


def _conv_norm(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(before, after, 1, bias=False), nn.BatchNorm1d(after))


class _Named(nn.Module):
    """A module that only holds others by name."""

    def __init__(self, **parts: nn.Module):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


class PublishedPointMLP(Tower):
    """PointMLP; `anchors`: centres of each stage, `width`: of the last one."""

    starts_anywhere = True

    def __init__(self, anchors: tuple[int, ...], neighbours: int = 24, width: int = 1024):
        super().__init__()
        self.anchors, self.neighbours = anchors, neighbours
        self.embedding = _Named(net=_conv_norm(3, 64))
        self.local_grouper_list, self.pre_blocks_list, self.pos_blocks_list = (nn.ModuleList() for _ in range(3))
        for before, after in pairwise((64, 128, 256, 512, width)):
            affine = nn.Module()
            affine.affine_alpha = nn.Parameter(torch.ones(1, 1, 1, before))
            affine.affine_beta = nn.Parameter(torch.zeros(1, 1, 1, before))
            self.local_grouper_list.append(affine)
            transfer = _Named(net=_conv_norm(2 * before, after))
            self.pre_blocks_list.append(_Named(transfer=transfer, operation=self._blocks(after)))
            self.pos_blocks_list.append(_Named(operation=self._blocks(after)))

    @staticmethod
    def _blocks(width: int) -> nn.Sequential:
        blocks = (_Named(net1=_conv_norm(width, width), net2=_conv_norm(width, width)) for _ in range(2))
        return nn.Sequential(*blocks)

    @staticmethod
    def _residual(blocks: nn.Sequential, x: Tensor) -> Tensor:
        for block in blocks:
            x = F.relu(block.net2(F.relu(block.net1(x))) + x)
        return x

    def forward(self, points: Tensor) -> Tensor:
        x = F.relu(self.embedding.net(points.transpose(1, 2)))
        stages = zip(self.anchors, self.local_grouper_list, self.pre_blocks_list, self.pos_blocks_list, strict=True)
        for count, affine, pre, pos in stages:
            features = x.transpose(1, 2)
            chosen = self.sample(points, count)
            centres, anchors = index_points(points, chosen), index_points(features, chosen)[:, :, None]
            index = knn_point(self.neighbours, points, centres)
            grouped = index_points(features, index) - anchors
            deviation = grouped.reshape(len(points), -1).std(dim=-1)[:, None, None, None]
            grouped = affine.affine_alpha * (grouped / (deviation + 1e-5)) + affine.affine_beta
            x = torch.cat([grouped, anchors.repeat(1, 1, self.neighbours, 1)], dim=-1)
            x = x.permute(0, 1, 3, 2).reshape(-1, x.shape[-1], self.neighbours)  # (B * S, 2C, K)
            x = self._residual(pre.operation, F.relu(pre.transfer.net(x))).max(-1)[0]
            x = self._residual(pos.operation, x.unflatten(0, (len(points), -1)).transpose(1, 2))
            points = centres
        return x.max(-1)[0]


class PublishedPointNeXt(Tower):
    """PointNeXt-S with the height as fourth input."""

    def __init__(self, radius: float = 0.15, members: int = 32):
        super().__init__()
        self.radius, self.members = radius, members
        stages = [nn.Sequential(_Named(convs=nn.Sequential(nn.Sequential(nn.Conv1d(4, 32, 1)))))]
        for width in (32, 64, 128, 256):
            skip = nn.Sequential(nn.Conv1d(width, 2 * width, 1))
            stages.append(nn.Sequential(_Named(skipconv=skip, convs=self._convs(width + 3, width, 2 * width))))
        self.encoder = nn.Sequential(*stages, nn.Sequential(_Named(convs=self._convs(515, 512, 512))))

    @staticmethod
    def _convs(*widths: int) -> nn.Sequential:
        pairs = pairwise(widths)
        return nn.Sequential(*(nn.Sequential(nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b)) for a, b in pairs))

    def forward(self, points: Tensor) -> Tensor:
        height = points[..., 1:2] - points[..., 1:2].min(dim=1, keepdim=True)[0]
        x = self.encoder[0][0].convs(torch.cat([points, height], dim=-1).transpose(1, 2))
        radius = self.radius
        for (stage,) in self.encoder[1:5]:
            chosen = self.sample(points, points.shape[1] // 2)
            centres, features = index_points(points, chosen), x.transpose(1, 2)
            index = query_ball_point(radius, self.members, points, centres)
            offsets = (index_points(points, index) - centres[:, :, None]) / radius
            grouped = torch.cat([offsets, index_points(features, index)], dim=-1).permute(0, 3, 1, 2)  # (B, C, S, K)
            skip = stage.skipconv(index_points(features, chosen).transpose(1, 2))
            x = F.relu(stage.convs[1](F.relu(stage.convs[0](grouped))).max(-1)[0] + skip)
            points, radius = centres, radius * 1.5
        x = torch.cat([points.transpose(1, 2), x], dim=1)[:, :, None]  # (B, C, 1, S)
        for layer in self.encoder[5][0].convs:
            x = F.relu(layer(x))
        return x.max(-1)[0][:, :, 0]


class PublishedPointBERT(Tower):
    """Point-BERT without drop path; `num_groups` centres."""

    def __init__(self, num_groups: int, size: int = 32, width: int = 384, heads: int = 6, depth: int = 12):
        super().__init__()
        self.num_groups, self.size, self.heads = num_groups, size, heads
        first = nn.Sequential(nn.Conv1d(3, 128, 1), nn.BatchNorm1d(128), nn.ReLU(), nn.Conv1d(128, 256, 1))
        second = nn.Sequential(nn.Conv1d(512, 512, 1), nn.BatchNorm1d(512), nn.ReLU(), nn.Conv1d(512, 256, 1))
        self.encoder = _Named(first_conv=first, second_conv=second)
        self.reduce_dim = nn.Linear(256, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
        self.blocks = _Named(blocks=nn.ModuleList(self._block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    @staticmethod
    def _block(width: int) -> nn.Module:
        attention = _Named(qkv=nn.Linear(width, 3 * width, bias=False), proj=nn.Linear(width, width))
        mlp = _Named(fc1=nn.Linear(width, 4 * width), fc2=nn.Linear(4 * width, width))
        return _Named(norm1=nn.LayerNorm(width), norm2=nn.LayerNorm(width), mlp=mlp, attn=attention)

    def forward(self, points: Tensor) -> Tensor:
        centres = index_points(points, self.sample(points, self.num_groups))
        x = index_points(points, knn_point(self.size, points, centres)) - centres[:, :, None]
        x = self.encoder.first_conv(x.flatten(0, 1).transpose(1, 2))  # (B * S, 256, K)
        x = torch.cat([x.max(2, keepdim=True)[0].expand_as(x), x], dim=1)
        tokens = self.reduce_dim(self.encoder.second_conv(x).max(2)[0].unflatten(0, centres.shape[:2]))
        x = torch.cat([self.cls_token.expand(len(points), -1, -1), tokens], dim=1)
        positions = torch.cat([self.cls_pos.expand(len(points), -1, -1), self.pos_embed(centres)], dim=1)
        for block in self.blocks.blocks:
            x = x + positions
            x = x + self._attend(block.attn, block.norm1(x))
            x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        x = self.norm(x)
        return torch.cat([x[:, 0], x[:, 1:].max(1)[0]], dim=-1)

    def _attend(self, layers: nn.Module, x: Tensor) -> Tensor:
        q, k, v = layers.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return layers.proj((weights @ v).transpose(1, 2).flatten(2))
