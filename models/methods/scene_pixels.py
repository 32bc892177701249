"""Multi-view pre-training of rooms: a frozen image network teaches SR-UNet what two RGB-D frames show.

Source: Tran et al. 2022, arXiv:2210.15904, whose code for rooms is not published: the pooling is ours.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.encoders.scenes.sr_unet import SRUNet, global_feature
from models.methods.method import Batch
from models.methods.multiview import MultiView
from models.methods.scene_contrast import voxels_of
from models.weights.sr_unet_file import backbone_state


class ScenePixels(MultiView):
    """MultiView of voxels: a point has the features of its voxel, a cloud mean and maximum of the coarsest voxels.

    The last layer of the network takes no part and is not trained.

    Args:
        network: its features before the last layer are taught.
        voxel_size: edge of a voxel in metres.
        of_multiview: map_dim and more, see MultiView; the local loss must have a weight, else the way up would learn
            nothing.
    """

    def __init__(self, network: SRUNet, voxel_size: float, *of_multiview: Any, **options: Any):
        super().__init__(network, *of_multiview, dims=(network.point_dim, network.feature_dim), **options)
        network.final.requires_grad_(False)
        self.voxel_size = voxel_size

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return features of points and clouds of points and colours (B, N, 3)."""
        voxels = voxels_of(batch["points"], batch["colours"], self.voxel_size)
        features = self.point_encoder.features(voxels.tensor)
        rows = voxels.to_points(features.voxels.features)
        return rows.unflatten(0, batch["points"].shape[:2]), global_feature(features.bottleneck)

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the network without its last layer, and the heads as "heads"."""
        return {"point": backbone_state(self.point_encoder, self.voxel_size), "heads": self.head_states()}
