"""One step of multi-view pre-training as published: text parsed per item, the teacher run at every step.

Source: Tran et al. 2022, arXiv:2210.15904, and its code: whole feature maps are upsampled, every point passes through
the head, the contrast is a loop over objects.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from benchmarks.published.published_dgcnn import SLOPE, PublishedDGCNN, edge_tensor, nearest
from models.encoders.multiview_resnet import MultiViewResNet


def write_shape(folder: Path, points: np.ndarray, pairs: list[np.ndarray], size: int, rng: np.random.Generator) -> None:
    """Write a cloud, pictures of noise and pairs (row, column, point) as text, in the published layout."""
    folder.mkdir(parents=True)
    np.savetxt(folder / "cloud.txt", points, fmt="%.6f")
    for view, rows in enumerate(pairs):
        np.savetxt(folder / f"pix_point_{view}.txt", rows, fmt="%d")
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(folder / f"view_{view}.png")


def read_shape(folder: Path, num_views: int, num_pairs: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Read cloud (N, 3), views (V, 3, S, S) and random pairs (P, 4) of a shape."""
    points = np.loadtxt(folder / "cloud.txt", dtype=np.float32)
    views, rows = [], []
    for view in range(num_views):
        views.append(np.asarray(Image.open(folder / f"view_{view}.png")))
        pairs = np.loadtxt(folder / f"pix_point_{view}.txt", dtype=np.int64, ndmin=2)
        rows.append(np.column_stack([np.full(len(pairs), view), pairs]))
    rows = np.concatenate(rows)
    chosen = rows[rng.choice(len(rows), num_pairs, replace=False)]
    images = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return torch.from_numpy(points), images, torch.from_numpy(chosen)


class PublishedMultiView(nn.Module):
    """Point network, heads and a teacher that is frozen but in train mode, with a graph through it."""

    def __init__(self, teacher: MultiViewResNet, k: int):
        super().__init__()
        self.encoder = PublishedDGCNN(k)
        self.teacher = teacher.requires_grad_(False).train()
        self.point_head = nn.Sequential(nn.Conv1d(1024, 512, 1), nn.BatchNorm1d(512), nn.ReLU(), nn.Conv1d(512, 128, 1))
        self.object_head = nn.Sequential(
            nn.Linear(1024, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128)
        )
        self.convup = nn.Conv2d(teacher.map_dim, 128, 1)

    def forward(self, points: Tensor, images: Tensor, pairs: Tensor) -> Tensor:
        """Return the loss. Shape: (B, N, 3), (B, V, 3, S, S), (B, P, 4) -> scalar."""
        maps = self.teacher.maps(images)
        target = self.teacher.embed_maps(maps)
        pixels = F.interpolate(self.convup(maps.flatten(0, 1)), (32, 32), mode="bilinear", align_corners=True)
        pixels = pixels.unflatten(0, images.shape[:2])  # (B, V, 128, 32, 32)
        x, levels = points.transpose(1, 2), []
        for layer in (self.encoder.conv1, self.encoder.conv2, self.encoder.conv3, self.encoder.conv4):
            x = F.leaky_relu(layer(edge_tensor(x, nearest(x, self.encoder.k))), SLOPE).max(dim=-1).values
            levels.append(x)
        x = F.leaky_relu(self.encoder.conv5(torch.cat(levels, dim=1)), SLOPE)  # (B, 1024, N)
        loss = F.mse_loss(self.object_head(x.amax(dim=2)), target)
        features = self.point_head(x)  # (B, 128, N)
        for number, rows in enumerate(pairs):
            view, row, column, point = rows.unbind(1)
            loss = loss + _nt_xent(features[number, :, point].T, pixels[number, view, :, row, column]) / len(pairs)
        return loss


def _nt_xent(points: Tensor, pixels: Tensor, temperature: float = 0.5) -> Tensor:
    rows = F.normalize(torch.cat([points, pixels]), dim=1)
    similarity = torch.exp(rows @ rows.T / temperature)
    others = ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    positive = torch.exp((rows * rows.roll(len(points), dims=0)).sum(dim=1) / temperature)
    return -torch.log(positive / similarity.masked_select(others).view(len(rows), -1).sum(dim=1)).mean()
