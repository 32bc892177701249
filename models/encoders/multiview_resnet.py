"""Image encoder of objects seen from several sides: a feature map of every view, one embedding of all.

Source: Tran et al. 2022, arXiv:2210.15904, and its published code.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from models.encoders.image_resnet import torchvision_resnet
from models.layers.heads import object_head

SHRINKING = {"small": 8, "standard": 32}  # pixels along a side of a cell of the map, by stem
STEMS = tuple(SHRINKING)
LAYERS = (2, 3, 4)  # whose maps may teach pixels
_VIEW_DIM = 1024


class MultiViewNetwork(nn.Module, ABC):
    """An image network on every view, a linear map of its mean, the maximum over the views, a projection.

    Attributes:
        stem: a key of SHRINKING: how large the cells of its last map are.
        map_dim: channels of its last map.
        embedding_dim: of the projection.
        image_size: pixels along a side of the images that it was trained on; None where that is not known.
    """

    stem: str
    map_dim: int
    embedding_dim: int
    image_size: int | None

    def add_heads(self) -> None:
        """Add the layers after the maps; they come last, so that a seed gives the network the same weights without."""
        self.view_projection = nn.Linear(self.map_dim, _VIEW_DIM, bias=False)
        self.head = object_head(_VIEW_DIM, self.embedding_dim)

    def maps(self, images: Tensor) -> Tensor:
        """Compute the feature map of every view. Shape: (B, V, 3, S, S) -> (B, V, C, h, w)."""
        return self._stages(images)[-1]

    def see(self, images: Tensor, layer: int = LAYERS[-1]) -> tuple[Tensor, Tensor]:
        """Compute maps, of a layer that may come before the last, and the embedding of the last.

        Shape: (B, V, 3, S, S) -> (B, V, C, h, w), (B, embedding_dim).
        """
        stages = self._stages(images)
        return stages[layer - 1], self.embed_maps(stages[-1])

    @abstractmethod
    def _stages(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the layers 1 to 4, each (B, V, C, h, w)."""

    def embed_maps(self, maps: Tensor) -> Tensor:
        """Embed an object by the maps of its views. Shape: (B, V, C, h, w) -> (B, embedding_dim)."""
        return self.head(self.view_projection(maps.mean(dim=(3, 4))).amax(dim=1))

    def forward(self, images: Tensor) -> Tensor:
        return self.embed_maps(self.maps(images))


class MultiViewResNet(MultiViewNetwork):
    """torchvision ResNet on every view, a linear map of its mean, the maximum over the views, a projection.

    Shape: images (B, V, 3, S, S), ImageNet-normalised -> embedding (B, embedding_dim), not of unit length.

    Args:
        depth: 18, 34 or 50; published: 50.
        stem: "small", 3 x 3 of stride 1 without pooling, as published for 32 x 32 pixels; "standard" is torchvision's,
            whose maps are a quarter as wide.
        start: "none" (random), "imagenet" (torchvision downloads its weights), or the path of a torchvision state
            dict. Its classifier is left out, and with the small stem its first convolution.
        embedding_dim: of the projection.

    Attributes:
        image_size: S of the images that it was trained on, which its file notes; None where that is not known.
    Raises:
        ValueError: unknown depth or stem, or a weight file whose keys do not fit.
        OSError: weight file missing, or the download failed.
    """

    def __init__(self, depth: int = 50, stem: str = "small", start: str = "none", embedding_dim: int = 128):
        super().__init__()
        if stem not in STEMS:
            raise ValueError(f"unknown stem {stem!r}; choose one of {', '.join(STEMS)}")
        self.depth, self.stem, self.embedding_dim = depth, stem, embedding_dim
        self.image_size: int | None = None
        resnet = torchvision_resnet(depth, start, ("fc.", "conv1.") if stem == "small" else ("fc.",))
        self.map_dim = resnet.fc.in_features
        if stem == "small":
            resnet.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            resnet.maxpool = nn.Identity()
        del resnet.fc, resnet.avgpool
        self.resnet = resnet
        self.add_heads()

    def _stages(self, images: Tensor) -> list[Tensor]:
        net = self.resnet
        x = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        stages = [net.maxpool(net.relu(net.bn1(net.conv1(x))))]
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            stages.append(layer(stages[-1]))
        return [stage.unflatten(0, images.shape[:2]) for stage in stages[1:]]
