"""PointNet for part segmentation as published, wider than the pre-training encoder and with T-Nets of its own.

Source: Qi et al. 2017, arXiv:1612.00593, figure 9; widths as in selfsup_pcd (Tran et al. 2022, arXiv:2210.15904).
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.registry import EMB_DIMS
from models.encoders.tnet import TNet, apply_shared, shared_layers
from models.layers.row_norm import max_over_clouds

WIDTHS = (3, 64, 128, 128, 512, 2048)


class PointNetSeg(nn.Module):
    """Five shared layers between two T-Nets, and a classifier of all that is known of a point.

    Shape: points (B, N, 3), category (B,) int64 -> logits (B, N, num_parts).

    Args:
        num_parts: part labels over all categories.
        num_categories: object categories; they enter as a one-hot.
        emb_dims: no choice, since no layer has the width of an encoder's embedding.
        dropout: probability after the first two layers of the classifier.
    Raises:
        ValueError: another `emb_dims` than the usual one.
    """

    pretrained_as = "pointnet_tnet"
    # What an encoder gives: the first T-Net, and the two convolutions of its that have the same shape.
    transfer: ClassVar[dict[str, str]] = {"stn1.": "stn1.", "mlp1.0.": "conv1.0.", "mlp2.3.": "conv2.0."}

    def __init__(
        self, *, num_parts: int = 50, num_categories: int = 16, emb_dims: int = EMB_DIMS, dropout: float = 0.5
    ):
        super().__init__()
        if emb_dims != EMB_DIMS:
            raise ValueError(f"--emb_dims {emb_dims}: pointnet_seg has layers of fixed widths; leave the flag out")
        self.emb_dims, self.num_categories = emb_dims, num_categories
        self.stn1, self.stn2 = TNet(WIDTHS[0]), TNet(WIDTHS[3])
        for i in range(5):
            setattr(self, f"conv{i + 1}", shared_layers(*WIDTHS[i : i + 2]))
        everything = sum(WIDTHS[1:]) + WIDTHS[3] + num_categories
        self.classifier1, self.classifier2 = shared_layers(everything, 256), shared_layers(256, 256)
        self.classifier3, self.classifier4 = shared_layers(256, 128), nn.Conv1d(128, num_parts, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        batch, num_points, _ = points.shape
        levels = [self.stn1(points.flatten(0, 1), batch)]
        for conv in (self.conv1, self.conv2, self.conv3):
            levels += apply_shared(conv, levels[-1])
        levels.append(self.stn2(levels[-1], batch))
        levels += apply_shared(self.conv4, levels[-1])
        feature = max_over_clouds(apply_shared(self.conv5, levels[-1])[0], batch)
        context = torch.cat([feature, F.one_hot(category, self.num_categories).to(feature.dtype)], dim=-1)
        x = torch.cat([*levels[1:], context.repeat_interleave(num_points, dim=0)], dim=-1)
        for layer in (self.classifier1, self.classifier2):
            x = self.dropout(apply_shared(layer, x)[0])
        x = apply_shared(self.classifier3, x)[0]
        logits = F.linear(x, self.classifier4.weight.flatten(1), self.classifier4.bias)
        return logits.unflatten(0, (batch, num_points))
