"""DGCNN as published, with an edge tensor in every layer: the reference of benchmarks.step.

Source: Wang et al. 2019, arXiv:1801.07829. Parameters are named as in ours, so that one state dict fits both.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2


def nearest(x: Tensor, k: int) -> Tensor:
    """Find the k nearest points by |x|^2 - 2xy + |y|^2 over the whole batch at once. Shape: (B, C, N) -> (B, N, K)."""
    square = (x * x).sum(dim=1)  # (B, N)
    negative = 2 * x.transpose(1, 2) @ x - square[:, :, None] - square[:, None, :]
    return negative.topk(k, dim=-1).indices


def edge_tensor(x: Tensor, index: Tensor) -> Tensor:
    """Build [neighbour - centre, centre] of every edge. Shape: (B, C, N), (B, N, K) -> (B, 2C, N, K)."""
    (batch, channels, num_points), k = x.shape, index.shape[-1]
    start = torch.arange(batch, device=x.device)[:, None, None] * num_points
    rows = x.transpose(1, 2).reshape(-1, channels)
    neighbour = rows[(index + start).flatten()].view(batch, num_points, k, channels)
    centre = rows.view(batch, num_points, 1, channels).expand(-1, -1, k, -1)
    return torch.cat([neighbour - centre, centre], dim=-1).permute(0, 3, 1, 2).contiguous()


class PublishedDGCNN(nn.Module):
    """Four edge convolutions on stored edges, a projection, max and mean pooling. Shape: (B, N, 3) -> (B, 2048)."""

    def __init__(self, k: int = 20):
        super().__init__()
        self.k = k
        for number, (inputs, outputs) in enumerate([(6, 64), (128, 64), (128, 128), (256, 256)], start=1):
            layer = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            self.add_module(f"conv{number}", layer)
        self.conv5 = nn.Sequential(nn.Conv1d(512, 1024, 1, bias=False), nn.BatchNorm1d(1024))

    def forward(self, points: Tensor) -> Tensor:
        x, levels = points.transpose(1, 2), []
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.leaky_relu(layer(edge_tensor(x, nearest(x, self.k))), SLOPE).max(dim=-1).values
            levels.append(x)
        x = F.leaky_relu(self.conv5(torch.cat(levels, dim=1)), SLOPE)
        return torch.cat([F.adaptive_max_pool1d(x, 1), F.adaptive_avg_pool1d(x, 1)], dim=1).squeeze(-1)
