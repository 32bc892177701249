"""DGCNN classification encoder.

Source: Wang et al. 2019, arXiv:1801.07829; layer widths and pooling as in CrossPoint (arXiv:2203.00680).
"""

import torch
from torch import Tensor, nn

from models.layers.edge_conv import EdgeConv
from models.layers.neighbours import knn_rows
from models.layers.pooled_conv import PooledConv
from models.rows import CloudRows, dense_rows, merge_copies

# Under autocast oneDNN computes the products. It compiles a kernel for every number of rows that it meets and keeps it
# somewhere in the heap, so that memory would grow by each batch of a new size: benchmarks.machine.memory_growth.
AUTOCAST_SIZES = 64


class DGCNN(nn.Module):
    """Four edge convolutions on dynamic graphs, a per-point projection, global max and mean pooling.

    Shape: points (B, N, 3) -> feature (B, 2 * emb_dims). Coordinates in any unit; CrossPoint trains on clouds of
    roughly unit size. On a CPU point 0 of a cloud receives the gradient of all its copies (under autocast, of most).

    Args:
        k: neighbours per point in every graph, itself included; needs N >= k.
        emb_dims: channels of the per-point projection.
    Raises:
        ValueError: N < k or non-finite input, at the call.
    """

    def __init__(self, k: int = 20, emb_dims: int = 1024):
        super().__init__()
        self.k = k
        self.emb_dims, self.feature_dim = emb_dims, 2 * emb_dims
        self.point_dim = 64 + 64 + 128 + 256
        self.conv1 = EdgeConv(3, 64)
        self.conv2 = EdgeConv(64, 64)
        self.conv3 = EdgeConv(64, 128)
        self.conv4 = EdgeConv(128, 256)
        self.conv5 = PooledConv(self.point_dim, emb_dims)

    def forward(self, points: Tensor) -> Tensor:
        # Merging was measured to pay only on a CPU, whose search goes cloud by cloud and so accepts ragged batches.
        if points.device.type == "cpu":
            x, clouds = merge_copies(points, AUTOCAST_SIZES if torch.is_autocast_enabled("cpu") else None)
        else:
            x, clouds = dense_rows(points)
        return self._pool(self._levels(x, clouds), clouds)

    def per_point(self, points: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return every point's features after each edge convolution, four (B * N, C), and each cloud's feature."""
        x, clouds = dense_rows(points)
        levels = self._levels(x, clouds)
        return levels, self._pool(levels, clouds)

    def pooled_layers(self, points: Tensor) -> list[Tensor]:
        """Return maximum and mean over each cloud of every edge convolution, four (B, 2C), and the cloud's feature."""
        levels, feature = self.per_point(points)
        levels = [level.unflatten(0, points.shape[:2]) for level in levels]
        return [*(torch.cat([level.amax(dim=1), level.mean(dim=1)], dim=-1) for level in levels), feature]

    def dense(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return every point's activations in the last layer (B, N, emb_dims) and their maximum (B, emb_dims)."""
        x, clouds = dense_rows(points)
        rows, largest = self.conv5.rows_and_maxima(torch.cat(self._levels(x, clouds), dim=-1), clouds)
        return rows.unflatten(0, points.shape[:2]), largest

    def _levels(self, x: Tensor, clouds: CloudRows) -> list[Tensor]:
        levels = []
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x, knn_rows(x, clouds, self.k), clouds)
            levels.append(x)
        return levels

    def _pool(self, levels: list[Tensor], clouds: CloudRows) -> Tensor:
        return torch.cat(self.conv5(torch.cat(levels, dim=-1), clouds), dim=-1)
