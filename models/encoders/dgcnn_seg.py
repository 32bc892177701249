"""DGCNN for part segmentation: the pre-training encoder, and the same with a per-point classifier.

Source: Wang et al. 2019, arXiv:1801.07829, section 4.4; names and widths as in CrossPoint (arXiv:2203.00680).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.affine import SLOPE
from models.layers.edge_conv import EdgeConv, FirstEdgeConv
from models.layers.neighbours import knn_rows
from models.layers.pooled_conv import PooledConv
from models.layers.row_norm import PointwiseConv
from models.rows import CloudRows, dense_rows


class TransformNet(nn.Module):
    """Predict a 3x3 matrix that aligns a cloud. Shape: points (M, 3), index (M, K), B clouds of M rows -> (B, 3, 3).

    The matrix is the identity at initialisation; row vectors are multiplied from the left: points @ matrix.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = FirstEdgeConv(3, 64)
        self.conv2 = PointwiseConv(64, 128, dims=2)
        self.conv3 = PooledConv(128, 1024)
        self.linear1 = nn.Linear(1024, 512, bias=False)
        self.bn3 = nn.BatchNorm1d(512)
        self.linear2 = nn.Linear(512, 256, bias=False)
        self.bn4 = nn.BatchNorm1d(256)
        self.transform = nn.Linear(256, 9)
        nn.init.zeros_(self.transform.weight)
        with torch.no_grad():
            self.transform.bias.copy_(torch.eye(3).flatten())

    def forward(self, points: Tensor, index: Tensor, clouds: CloudRows) -> Tensor:
        x = _max_over_edges(self.conv2, self.conv1(points, index, clouds))  # (M, 128)
        x, _ = self.conv3(x, clouds)  # (B, 1024)
        x = F.leaky_relu(self.bn3(self.linear1(x)), SLOPE)
        x = F.leaky_relu(self.bn4(self.linear2(x)), SLOPE)
        return self.transform(x).reshape(len(x), 3, 3)


def _max_over_edges(conv: PointwiseConv, edges: Tensor) -> Tensor:
    """Convolve every edge and take the maximum over each row's edges. Shape: (M, K, C) -> (M, D)."""
    return conv(edges.flatten(0, 1)).unflatten(0, edges.shape[:2]).max(dim=1).values


class SegTrunk(nn.Module):
    """What DGCNN's networks for parts and for rooms share: three edge-convolution blocks, a projection, a maximum.

    Args:
        k: neighbours per point in every graph, itself included.
        emb_dims: width of the global feature.
    """

    def __init__(self, k: int, emb_dims: int):
        super().__init__()
        self.k = k
        self.emb_dims = self.feature_dim = emb_dims

    def add_layers(self, in_channels: int) -> None:
        """Make the layers, for points of `in_channels` numbers; the order in which layers are made decides weights."""
        self.conv1 = FirstEdgeConv(in_channels, 64)
        self.conv2 = PointwiseConv(64, 64, dims=2)
        self.conv3 = FirstEdgeConv(64, 64)
        self.conv4 = PointwiseConv(64, 64, dims=2)
        self.conv5 = EdgeConv(64, 64)
        self.conv6 = PooledConv(64 + 64 + 64, self.emb_dims)

    def edge_levels(self, rows: Tensor, index: Tensor, clouds: CloudRows) -> list[Tensor]:
        """Return the features of rows after each block, three (M, 64); `index` (M, K) is the graph of the first."""
        x1 = _max_over_edges(self.conv2, self.conv1(rows, index, clouds))
        x2 = _max_over_edges(self.conv4, self.conv3(x1, self._graph(x1, clouds), clouds))
        x3 = self.conv5(x2, self._graph(x2, clouds), clouds)
        return [x1, x2, x3]

    def _graph(self, rows: Tensor, clouds: CloudRows) -> Tensor:
        return knn_rows(rows, clouds, self.k)

    def _pool(self, levels: list[Tensor], batch: int) -> Tensor:
        rows = torch.cat(levels, dim=-1)
        largest, _ = self.conv6(rows, CloudRows([len(rows) // batch] * batch))  # (B, E)
        return largest


class DGCNNSegEncoder(SegTrunk):
    """Alignment network, three edge-convolution blocks, per-point projection, global maximum.

    Shape: points (B, N, 3) -> feature (B, emb_dims).

    Args:
        k: neighbours per point in every graph, itself included; needs N >= k.
        emb_dims: width of the global feature.
    Raises:
        ValueError: N < k or non-finite input, at the call.
    """

    def __init__(self, k: int = 40, emb_dims: int = 1024):
        super().__init__(k, emb_dims)
        self.transform_net = TransformNet()
        self.add_layers(3)

    def forward(self, points: Tensor) -> Tensor:
        return self._pool(self._levels(points), len(points))

    def pooled_layers(self, points: Tensor) -> list[Tensor]:
        """Return the maximum over each cloud of every block's features, three (B, 64), and the cloud's feature."""
        levels = self._levels(points)
        largest = [level.unflatten(0, points.shape[:2]).amax(dim=1) for level in levels]
        return [*largest, self._pool(levels, len(points))]

    def dense(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return every point's activations in the last layer (B, N, emb_dims) and their maximum (B, emb_dims)."""
        rows = torch.cat(self._levels(points), dim=-1)
        rows, largest = self.conv6.rows_and_maxima(rows, CloudRows([points.shape[1]] * len(points)))
        return rows.unflatten(0, points.shape[:2]), largest

    def _levels(self, points: Tensor) -> list[Tensor]:
        """Return the per-point features after each block: three tensors (B * N, 64)."""
        rows, clouds = dense_rows(points)
        matrix = self.transform_net(rows, self._graph(rows, clouds), clouds)
        with torch.autocast(points.device.type, enabled=False):  # which would round coordinates before the search
            rows = (points @ matrix.to(points.dtype)).flatten(0, 1)
        return self.edge_levels(rows, self._graph(rows, clouds), clouds)


class DGCNNPartSeg(DGCNNSegEncoder):
    """Part segmentation network: the encoder and a per-point classifier that also sees the object category.

    Shape: points (B, N, 3), category (B,) int64 -> logits (B, N, num_parts).

    Args:
        k: neighbours per point.
        num_parts: part labels over all categories; 50 in ShapeNetPart.
        num_categories: object categories; 16 in ShapeNetPart.
        dropout: probability after the first two classifier layers.
    """

    def __init__(
        self,
        k: int = 40,
        *,
        num_parts: int = 50,
        num_categories: int = 16,
        emb_dims: int = 1024,
        dropout: float = 0.5,
    ):
        super().__init__(k, emb_dims)
        self.num_categories = num_categories
        self.conv7 = PointwiseConv(num_categories, 64)
        self.conv8 = PointwiseConv(emb_dims + 64 + 64 + 64 + 64, 256)
        self.conv9 = PointwiseConv(256, 256)
        self.conv10 = PointwiseConv(256, 128)
        self.conv11 = nn.Conv1d(128, num_parts, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        batch, num_points, _ = points.shape
        levels = self._levels(points)
        one_hot = F.one_hot(category, self.num_categories).to(levels[0].dtype)
        context = torch.cat([self._pool(levels, batch), self.conv7(one_hot)], dim=-1)  # (B, E + 64)
        context = context.repeat_interleave(num_points, dim=0)
        x = self.conv8(torch.cat([context, *levels], dim=-1))
        x = self.conv9(self.dropout(x))
        x = self.conv10(self.dropout(x))
        return F.linear(x, self.conv11.weight.flatten(1)).unflatten(0, (batch, num_points))
