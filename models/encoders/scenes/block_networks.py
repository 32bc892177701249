"""Semantic segmentation of blocks of a room: DGCNN and PointNet of nine numbers a point, as published.

Their trunks are those of the encoders `dgcnn_seg`, without its alignment network, and `pointnet`, whose layers keep
their names: all of a pre-trained encoder fits but its first layer, which took the three coordinates of a point.

Letters: B blocks, P points of a block, Y classes, D channels.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.dgcnn_seg import SegTrunk
from models.encoders.pointnet import PointNet
from models.encoders.registry import EMB_DIMS
from models.encoders.tnet import apply_shared, shared_layers
from models.layers.row_norm import PointwiseConv
from models.rows import dense_rows

CHANNELS = 9  # x, y, z about the middle of the block, colour, x, y, z as a share of the room


class DGCNNBlocks(SegTrunk):
    """Three edge-convolution blocks, the first on neighbours in the room; a global maximum; a classifier of points.

    Shape: blocks (B, P, 9) -> logits (B, P, Y).

    Args:
        num_classes: Y.
        k: neighbours per point in every graph, itself included; needs P >= k.
        dropout: probability before the last layer.
    Source: Wang et al. 2019, arXiv:1801.07829, section 4.5, in the code of An Tao (antao97/dgcnn.pytorch) and of
        selfsup_pcd, whose names of layers are kept.
    """

    pretrained_as = "dgcnn_seg"
    trunk: ClassVar[tuple[str, ...]] = ("conv2.", "conv3.", "conv4.", "conv5.", "conv6.")

    def __init__(self, num_classes: int, *, k: int = 20, dropout: float = 0.5):
        super().__init__(k, EMB_DIMS)
        self.add_layers(CHANNELS)
        self.conv7 = PointwiseConv(EMB_DIMS + 64 + 64 + 64, 512)
        self.conv8 = PointwiseConv(512, 256)
        self.dropout = nn.Dropout(dropout)
        self.conv9 = nn.Conv1d(256, num_classes, 1, bias=False)

    def forward(self, blocks: Tensor) -> Tensor:
        rows, clouds = dense_rows(blocks)
        levels = self.edge_levels(rows, self._graph(rows[:, 6:].contiguous(), clouds), clouds)
        x = self.conv7.with_context(torch.cat(levels, dim=-1), self._pool(levels, len(blocks)), is_first=True)
        x = self.dropout(self.conv8(x))
        return F.linear(x, self.conv9.weight.flatten(1)).unflatten(0, blocks.shape[:2])


class PointNetBlocks(PointNet):
    """Five shared layers, a global maximum through two layers, and a classifier of each point beside it.

    Shape: blocks (B, P, 9) -> logits (B, P, Y).

    Args:
        num_classes: Y.
        dropout: probability before the last layer.
    Source: Qi et al. 2017, arXiv:1612.00593, in the authors' code for semantic segmentation (charlesq34/pointnet,
        sem_seg/model.py), which has no alignment networks. Of its trunk the biases before BatchNorm, without effect,
        are left out, as in our encoder.
    """

    pretrained_as = "pointnet"
    trunk: ClassVar[tuple[str, ...]] = ("conv2.", "conv3.", "conv4.", "conv5.")

    def __init__(self, num_classes: int, *, dropout: float = 0.3):
        super().__init__(EMB_DIMS, CHANNELS)
        first, second = nn.Linear(EMB_DIMS, 256), nn.Linear(256, 128)
        self.context = nn.Sequential(first, nn.BatchNorm1d(256), nn.ReLU(), second, nn.BatchNorm1d(128), nn.ReLU())
        self.head = shared_layers(EMB_DIMS + 128, 512, 256)
        self.dropout = nn.Dropout(dropout)
        self.final = nn.Conv1d(256, num_classes, 1)

    def forward(self, blocks: Tensor) -> Tensor:
        levels, feature = self.per_point(blocks)
        context = self.context(feature).repeat_interleave(blocks.shape[1], dim=0)
        x = self.dropout(apply_shared(self.head, torch.cat([levels[-1], context], dim=-1))[-1])
        return F.linear(x, self.final.weight.flatten(1), self.final.bias).unflatten(0, blocks.shape[:2])


BLOCK_NETWORKS = {"dgcnn": DGCNNBlocks, "pointnet": PointNetBlocks}


def build_block_network(
    name: str, num_classes: int, *, k: int | None = None, dropout: float | None = None
) -> nn.Module:
    """Build a freshly initialised network: blocks (B, P, 9) -> logits (B, P, Y).

    Args:
        name: a key of BLOCK_NETWORKS.
        k: of a network with a graph; None takes the published one.
        dropout: None takes the published one.
    """
    options: dict[str, Any] = {"k": k, "dropout": dropout}
    return BLOCK_NETWORKS[name](num_classes, **{key: value for key, value in options.items() if value is not None})
