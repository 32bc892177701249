"""Part segmentation networks: a pre-training encoder and a classifier of its points, by the name that `--model` takes.

The encoder's tensors keep their names, so that a pre-trained file loads unchanged. Only pointnet_seg has an encoder of
its own, with a map of the tensors that a pre-trained file gives it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.dgcnn import DGCNN
from models.encoders.dgcnn_seg import DGCNNPartSeg
from models.encoders.pointnet import PointNet
from models.encoders.pointnet_seg import PointNetSeg
from models.encoders.pointnet_tnet import PointNetTNet
from models.encoders.registry import EMB_DIMS, has_graph
from models.layers.row_norm import PointwiseConv


class PartHead(nn.Module):
    """Classify every point by its own features, those of its cloud and the cloud's category.

    Shape: levels, a list of (B * N, C); feature (B, D); category (B,) -> logits (B * N, num_parts).

    Args:
        point_dim: sum of the C.
        feature_dim: D.
        dropout: probability after the first two layers.
    Source: Qi et al. 2017, arXiv:1612.00593, figure 9: all layers of a point, the global feature and the category.
        Widths, dropout and the layer between the category and the rest as in DGCNN's part segmentation.
    """

    def __init__(self, point_dim: int, feature_dim: int, *, num_parts: int, num_categories: int, dropout: float):
        super().__init__()
        self.num_categories = num_categories
        # A bare one-hot is too small beside the features: short trainings never learn to use it.
        self.category = PointwiseConv(num_categories, 64)
        self.conv1 = PointwiseConv(point_dim + feature_dim + 64, 256)
        self.conv2 = PointwiseConv(256, 256)
        self.conv3 = PointwiseConv(256, 128)
        self.conv4 = nn.Conv1d(128, num_parts, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, levels: list[Tensor], feature: Tensor, category: Tensor) -> Tensor:
        rows = torch.cat(levels, dim=-1)
        one_hot = F.one_hot(category, self.num_categories).to(feature.dtype)
        context = torch.cat([feature, self.category(one_hot)], dim=-1)
        x = self.conv2(self.dropout(self.conv1.with_context(rows, context)))
        x = self.conv3(self.dropout(x))
        return F.linear(x, self.conv4.weight.flatten(1), self.conv4.bias)


class _PartNetwork:
    """Put a `PartHead` on the encoder that follows in the bases of a class.

    Shape: points (B, N, 3), category (B,) int64 -> logits (B, N, num_parts).
    """

    def __init__(self, *, num_parts: int = 50, num_categories: int = 16, dropout: float = 0.5, **of_encoder: int):
        super().__init__(**of_encoder)
        self.part_head = PartHead(
            self.point_dim, self.feature_dim, num_parts=num_parts, num_categories=num_categories, dropout=dropout
        )

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        return self.part_head(*self.per_point(points), category).unflatten(0, points.shape[:2])


class DGCNNClsPartSeg(_PartNetwork, DGCNN):
    """CrossPoint's classification encoder with a `PartHead`."""


class PointNetPartSeg(_PartNetwork, PointNet):
    """PointNet with a `PartHead`."""


class PointNetTNetPartSeg(_PartNetwork, PointNetTNet):
    """PointNet with T-Nets and a `PartHead`, which also sees the aligned points and features."""


PART_NETWORKS = {
    "dgcnn_seg": DGCNNPartSeg,
    "dgcnn": DGCNNClsPartSeg,
    "pointnet": PointNetPartSeg,
    "pointnet_tnet": PointNetTNetPartSeg,
    "pointnet_seg": PointNetSeg,
}


def build_part_network(
    name: str,
    k: int,
    *,
    num_parts: int = 50,
    num_categories: int = 16,
    emb_dims: int = EMB_DIMS,
    dropout: float = 0.5,
) -> nn.Module:
    """Build a freshly initialised network: points (B, N, 3), category (B,) int64 -> logits (B, N, num_parts).

    Args:
        name: a key of `PART_NETWORKS`, the name of its encoder, or pointnet_seg.
        k: neighbours per point; an encoder without a graph takes none.
        num_parts: part labels over all categories.
        num_categories: object categories.
        emb_dims: width of the encoder's embedding.
        dropout: probability in the classifier.
    """
    graph = {"k": k} if has_graph(name) else {}
    sizes = {"num_parts": num_parts, "num_categories": num_categories, "emb_dims": emb_dims}
    return PART_NETWORKS[name](**graph, **sizes, dropout=dropout)
