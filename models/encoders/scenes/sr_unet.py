"""SR-UNet: the sparse residual U-Nets of PointContrast and MinkowskiEngine, Res16UNet14A, 18A and 34C.

Modules have the names of PointContrast's (downstream/semseg/models/res16unet.py, resnet.py and modules/resnet_block.py,
from which the widths and depths here were read), so that its files load by their keys: models/weights/sr_unet_file.py.

Letters: M voxels, B clouds, C channels.
Source: Choy et al. 2019, arXiv:1904.08755; Xie et al. 2020, arXiv:2007.10985.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.layers.row_norm import cloud_maxima
from models.sparse.sparse_conv import DownConv, SparseConv, UpConv, VoxelNorm
from models.sparse.sparse_tensor import SparseTensor

_STEM = 32


class Plan(NamedTuple):
    """Blocks and channels of the four stages down and the four up."""

    layers: tuple[int, ...]
    planes: tuple[int, ...]


PLANS = {
    "14A": Plan((1, 1, 1, 1, 1, 1, 1, 1), (32, 64, 128, 256, 128, 128, 96, 96)),
    "18A": Plan((2, 2, 2, 2, 2, 2, 2, 2), (32, 64, 128, 256, 128, 128, 96, 96)),
    "34C": Plan((2, 3, 4, 6, 2, 2, 2, 2), (32, 64, 128, 256, 256, 128, 96, 96)),
}


class SceneFeatures(NamedTuple):
    """What the network computes before its last layer.

    `voxels`: (M, point_dim), of the voxels given. `bottleneck`: (M', 256), of voxels of sixteen times the size.
    """

    voxels: SparseTensor
    bottleneck: SparseTensor


class ResidualBlock(nn.Module):
    """ReLU(x + norm(conv(ReLU(norm(conv(x)))))), with a linear map of x where the width changes. Shape: (M, C)."""

    def __init__(self, in_channels: int, channels: int, momentum: float):
        super().__init__()
        self.conv1, self.norm1 = SparseConv(in_channels, channels), VoxelNorm(channels, momentum)
        self.conv2, self.norm2 = SparseConv(channels, channels), VoxelNorm(channels, momentum)
        self.downsample = None
        if in_channels != channels:
            self.downsample = nn.Sequential(SparseConv(in_channels, channels, 1), VoxelNorm(channels, momentum))

    def forward(self, x: SparseTensor) -> SparseTensor:
        out = self.norm2(self.conv2(self.norm1(self.conv1(x))), relu=False)
        if self.downsample is not None:
            x = self.downsample[1](self.downsample[0](x), relu=False)
        return x.with_features(torch.relu(out.features + x.features))


class SRUNet(nn.Module):
    """Sparse residual U-Net.

    Shape: features of voxels (M, in_channels) -> (M, out_channels).

    Args:
        in_channels: of a voxel; published: 3, its colour.
        out_channels: published: 20 classes of ScanNet, 13 of S3DIS, 32 for PointContrast.
        plan: "14A", "18A" or "34C".
        conv1_size: edge of the first kernel, 3 or 5.
        momentum: of BatchNorm; published: 0.05 in pre-training, 0.02 in segmentation.
    Raises:
        ValueError: a plan or a size that there is not.

    Attributes:
        plan: as given.
        point_dim: channels of `SceneFeatures.voxels`.
        feature_dim: numbers of `global_feature`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 20,
        plan: str = "34C",
        conv1_size: int = 3,
        momentum: float = 0.1,
    ):
        super().__init__()
        if plan not in PLANS or conv1_size not in (3, 5):
            raise ValueError(f"plan {plan} and conv1_size {conv1_size}, expected one of {', '.join(PLANS)} and 3 or 5")
        self.plan = plan
        layers, planes = PLANS[plan]
        self.conv0p1s1, self.bn0 = SparseConv(in_channels, _STEM, conv1_size), VoxelNorm(_STEM, momentum)
        width = _STEM
        for stage in range(4):
            setattr(self, _down_name(stage), DownConv(width, width))
            setattr(self, f"bn{stage + 1}", VoxelNorm(width, momentum))
            setattr(self, f"block{stage + 1}", _blocks(layers[stage], width, planes[stage], momentum))
            width = planes[stage]
        skips = (planes[2], planes[1], planes[0], _STEM)
        for stage in range(4, 8):
            setattr(self, _up_name(stage), UpConv(width, planes[stage]))
            setattr(self, f"bntr{stage}", VoxelNorm(planes[stage], momentum))
            joined = planes[stage] + skips[stage - 4]
            setattr(self, f"block{stage + 1}", _blocks(layers[stage], joined, planes[stage], momentum))
            width = planes[stage]
        self.final = SparseConv(width, out_channels, 1, bias=True)
        self.point_dim, self.feature_dim = width, 2 * planes[3]

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self.final(self.features(x).voxels)

    def features(self, x: SparseTensor) -> SceneFeatures:
        """Return the features of voxels, and those of the coarsest."""
        out = self.bn0(self.conv0p1s1(x))
        skips = []
        for stage in range(4):
            skips.append(out)
            out = getattr(self, f"bn{stage + 1}")(getattr(self, _down_name(stage))(out))
            out = getattr(self, f"block{stage + 1}")(out)
        bottleneck = out
        for stage in range(4, 8):
            skip = skips.pop()
            out = getattr(self, f"bntr{stage}")(getattr(self, _up_name(stage))(out, like=skip))
            out = out.with_features(torch.cat([out.features, skip.features], dim=1))
            out = getattr(self, f"block{stage + 1}")(out)
        return SceneFeatures(out, bottleneck)


def global_feature(bottleneck: SparseTensor) -> Tensor:
    """Return the mean and the maximum over the coarsest voxels of each cloud. Shape: (M', C) -> (B, 2 C)."""
    rows, clouds = bottleneck.features, bottleneck.level.clouds
    mean = clouds.sums(rows) / clouds.num_points.to(rows)[:, None]
    return torch.cat([mean, rows.gather(0, cloud_maxima(rows.detach(), clouds)[1])], dim=1)


def _blocks(number: int, in_channels: int, channels: int, momentum: float) -> nn.Sequential:
    widths = [in_channels, *[channels] * number]
    return nn.Sequential(*(ResidualBlock(before, after, momentum) for before, after in pairwise(widths)))


def _down_name(stage: int) -> str:
    """Name of the convolution before stage 0 to 3: conv1p1s2, conv2p2s2, conv3p4s2, conv4p8s2."""
    return f"conv{stage + 1}p{2**stage}s2"


def _up_name(stage: int) -> str:
    """Name of the convolution before stage 4 to 7: convtr4p16s2, convtr5p8s2, convtr6p4s2, convtr7p2s2."""
    return f"convtr{stage}p{2 ** (8 - stage)}s2"
