"""SR-UNet as what gives VoteNet its seeds, as PointContrast's detection has it (Xie et al. 2020, arXiv:2007.10985).

Letters: B scenes, N points, S seeds, C channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detection.vote_backbone import Seeds
from models.encoders.scenes.sr_unet import SRUNet
from models.layers.farthest_points import farthest_order
from models.layers.grouping import gather
from models.sparse.sparse_conv import SparseConv
from models.sparse.voxelise import voxelise


class SRUNetSeeds(nn.Module):
    """Voxels of the points through an SR-UNet; the farthest points are the seeds, with the features of their voxels.

    Shape: (B, N, 3 + further channels) -> Seeds. Points without further channels get the number 1 as feature.

    Args:
        unet: whose last layer is replaced by one to `feature_dim` channels, drawn anew.
        voxel_size: edge of a voxel, > 0, metres.
        num_seeds: S; all points where a scene has fewer.
        feature_dim: C.
    """

    def __init__(self, unet: SRUNet, *, voxel_size: float = 0.025, num_seeds: int = 1024, feature_dim: int = 256):
        super().__init__()
        self.voxel_size, self.num_seeds, self.feature_dim = voxel_size, num_seeds, feature_dim
        unet.final = SparseConv(unet.point_dim, feature_dim, 1, bias=True)
        self.unet = unet

    def forward(self, points: Tensor) -> Seeds:
        batch, num_points, width = points.shape
        position = points[..., :3]
        features = points[..., 3:] if width > 3 else torch.ones_like(points[..., :1])
        voxels = voxelise(position.flatten(0, 1), features.flatten(0, 1), self.voxel_size, [num_points] * batch)
        rows = self.unet(voxels.tensor).features  # (M, C)
        order = farthest_order(position.detach(), min(self.num_seeds, num_points))
        voxel = voxels.inverse.view(batch, num_points).gather(1, order)  # (B, S)
        return Seeds(gather(position, order), F.embedding(voxel, rows).transpose(1, 2), order)
