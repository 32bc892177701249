"""What gives VoteNet its seeds: the interface, and the published PointNet++.

Letters: B scenes, N points, S seeds, C channels.
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from models.detection.vote_layers import BallLayers, CarryLayers
from models.layers.farthest_points import farthest_order
from models.layers.grouping import gather


class Seeds(NamedTuple):
    """Some points of a scene, with features of their surroundings.

    position (B, S, 3) metres; features (B, C, S); index (B, S) int64, the number of each seed among the N points, by
    which its votes are looked up.
    """

    position: Tensor
    features: Tensor
    index: Tensor


class SeedBackbone(Protocol):
    """A module that VoteNet can be built on."""

    feature_dim: int  # C

    def __call__(self, points: Tensor) -> Seeds:
        """Shape: (B, N, 3 + further channels) -> Seeds."""
        ...


class Stage(NamedTuple):
    """Centres, radius of their balls in metres, most members of a ball, widths of the layers."""

    centres: int
    radius: float
    members: int
    widths: tuple[int, ...]


PUBLISHED_STAGES = (
    Stage(2048, 0.2, 64, (64, 64, 128)),
    Stage(1024, 0.4, 32, (128, 128, 256)),
    Stage(512, 0.8, 16, (128, 128, 256)),
    Stage(256, 1.2, 16, (128, 128, 256)),
)


class VoteBackbone(nn.Module):
    """Four stages of balls, then features carried back to the centres of the second stage, which are the seeds.

    Shape: (B, N, 3 + channels) -> Seeds; where a scene has fewer points than centres, all of them are taken.

    Parameters are named as in VoteNet's checkpoints. Centres are the farthest points from point 0 on; the published
    kernel also skips points within 3 cm of the origin, which is not done here.

    Args:
        channels: further channels of a point, such as its height over the floor.
        stages: of the published sizes by default.
        feature_dim: C.
    """

    def __init__(self, channels: int = 0, stages: tuple[Stage, ...] = PUBLISHED_STAGES, feature_dim: int = 256):
        super().__init__()
        self.stages, self.feature_dim = stages, feature_dim
        second, third, fourth = (stage.widths[-1] for stage in stages[1:])
        before = (channels, *(stage.widths[-1] for stage in stages[:-1]))
        self.sa1, self.sa2, self.sa3, self.sa4 = (
            BallLayers(stage.radius, stage.members, width, stage.widths) for stage, width in zip(stages, before)
        )
        self.fp1 = CarryLayers(fourth + third, feature_dim, feature_dim)
        self.fp2 = CarryLayers(feature_dim + second, feature_dim, feature_dim)

    def forward(self, points: Tensor) -> Seeds:
        position, features = points[..., :3], points[..., 3:] if points.shape[-1] > 3 else None
        order = farthest_order(position.detach(), min(self.stages[0].centres, points.shape[1]))
        levels = []
        for stage, layers in zip(self.stages, (self.sa1, self.sa2, self.sa3, self.sa4), strict=True):
            # In this order, any first centres are the farthest points of all centres: later stages need no search.
            centres = position[:, : stage.centres] if levels else gather(position, order)
            features = layers(position, features, centres)
            position = centres
            levels.append((position, features))
        _, second, third, fourth = levels
        features = self.fp1(fourth[1], fourth[0], third[1], third[0])
        features = self.fp2(features, third[0], second[1], second[0])
        return Seeds(second[0], features.transpose(1, 2), order[:, : second[0].shape[1]])
