"""PointContrast: matched points of two frames of a scene have like features.

Source: Xie et al. 2020, arXiv:2007.10985, with the loss PointInfoNCE.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.encoders.scenes.sr_unet import SRUNet
from models.losses.point_info_nce import point_info_nce
from models.methods.method import Batch, Method, Terms
from models.sparse.voxelise import Voxels, voxelise
from models.weights.sr_unet_file import backbone_state, head_state


class SceneContrast(Method):
    """PointInfoNCE of the points that both frames show, on the outputs of the network for their voxels.

    Each of the two clouds of a pair is one of the batch, so that BatchNorm sees all clouds together; the published code
    passes first and second frames through the network one after the other.

    Args:
        network: its outputs are contrasted; published: 32 of a 34C.
        voxel_size: edge of a voxel in metres; published: 0.025.
        num_matches: P, the most of a pair.
        temperature: published: 0.07.
    """

    def __init__(self, network: SRUNet, voxel_size: float, num_matches: int, temperature: float = 0.07):
        super().__init__()
        self.point_encoder = network
        self.voxel_size, self.num_matches, self.temperature = voxel_size, num_matches, temperature

    def forward(self, batch: Batch) -> Terms:
        """Return "loss/contrast" of points and colours (B, 2, N, 3), of which the first num_matches (B,) are paired."""
        voxels = voxels_of(batch["points"].flatten(0, 1), batch["colours"].flatten(0, 1), self.voxel_size)
        places = voxels.inverse.view(batch["points"].shape[:3])[:, :, : self.num_matches]
        first, second = F.embedding(places, self.point_encoder(voxels.tensor).features).unbind(1)
        is_match = torch.arange(first.shape[1], device=first.device) < batch["num_matches"][:, None]
        loss = point_info_nce(first.flatten(0, 1), second.flatten(0, 1), is_match.flatten(), self.temperature)
        return {"loss/contrast": loss}

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the network without its last layer, and that layer as "heads"."""
        return {"point": backbone_state(self.point_encoder, self.voxel_size), "heads": head_state(self.point_encoder)}


def voxels_of(points: Tensor, colours: Tensor, size: float) -> Voxels:
    """Put clouds of equal numbers of points into voxels. Shape: two (B, N, 3)."""
    return voxelise(points.flatten(0, 1), colours.flatten(0, 1), size, [points.shape[1]] * len(points))
