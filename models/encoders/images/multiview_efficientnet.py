"""EfficientNet-Lite0 with its ImageNet weights as a teacher of objects seen from several sides."""

import torch
from torch import Tensor

from models.encoders.images.efficientnet_lite import load_efficientnet
from models.encoders.multiview_resnet import MultiViewNetwork


class MultiViewEfficientNet(MultiViewNetwork):
    """EfficientNet-Lite0 of its wheel; linear map and projection are random, as those of any network of ImageNet here.

    Shape: images (B, V, 3, S, S), ImageNet-normalised -> embedding (B, embedding_dim), not of unit length.

    Args:
        embedding_dim: of the projection.
    Raises:
        ValueError: the wheel is not installed, or damaged.
    """

    stem = "standard"  # its cells are as large

    def __init__(self, embedding_dim: int = 128):
        super().__init__()
        self.efficientnet = load_efficientnet()
        self.map_dim, self.embedding_dim = self.efficientnet.feature_dim, embedding_dim
        self.image_size = self.efficientnet.image_size
        self.add_heads()

    def _stages(self, images: Tensor) -> list[Tensor]:
        x = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return [stage.unflatten(0, images.shape[:2]) for stage in self.efficientnet.stages(x)]
