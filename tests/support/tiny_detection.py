"""A VoteNet of a few thousand parameters, and scenes of cubes on a floor for it."""

import numpy as np
import torch

from datasets.detection.scene_boxes import SceneBoxes
from models.detection.vote_backbone import Stage, VoteBackbone
from models.detection.vote_network import VoteNet

STAGES = (
    Stage(64, 0.5, 16, (16, 16, 32)),
    Stage(48, 0.8, 8, (32, 32)),
    Stage(24, 1.2, 8, (32, 32)),
    Stage(12, 2.0, 8, (32, 32)),
)
LEARNING_STAGES = (
    Stage(40, 0.4, 12, (64,)),
    Stage(32, 0.6, 8, (64,)),
    Stage(16, 0.8, 8, (64,)),
    Stage(8, 1.2, 6, (64,)),
)
SIZES = ((0.7, 0.7, 0.7), (1.0, 1.0, 0.4))


def tiny_votenet(num_headings=1, channels=0, stages=STAGES, width=32, **options):
    """Build a VoteNet with few centres and narrow layers."""
    options = {"num_proposals": 16, "members": 8} | options
    return VoteNet(VoteBackbone(channels, stages, width), SIZES, num_headings, width=width, **options)


def eager_votenet():
    """Build a VoteNet that learns in few steps: votes and boxes start at their seeds, statistics follow at once."""
    network = tiny_votenet(channels=3, stages=LEARNING_STAGES, width=64)
    for last in (network.vgen.conv3, network.pnet.conv3):
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.5  # as the published training begins
    return network


def cube_scene(rng, num_points=448):
    """Make a floor of 2.6 m with three boxes of two classes apart from each other: points (N, 3) and the boxes."""
    label = np.array([0, 1, 0])
    size = (np.array(SIZES)[label] * rng.uniform(0.9, 1.1, (3, 3))).astype(np.float32)
    middle = np.array([(-0.8, -0.8), (0.8, -0.7), (0.0, 0.8)]) + rng.uniform(-0.15, 0.15, (3, 2))
    centre = np.concatenate([middle, size[:, 2:] / 2], axis=1).astype(np.float32)
    boxes = SceneBoxes(centre, size, np.zeros(3, np.float32), label)
    count = num_points // 4
    surfaces = [np.concatenate([rng.uniform(-1.3, 1.3, (count, 2)), np.zeros((count, 1))], axis=1)]
    for corner, lengths in zip(centre, size):
        local = rng.uniform(-0.49, 0.49, (count, 3))
        local[np.arange(count), rng.integers(0, 3, count)] = 0.49 * rng.choice([-1, 1], count)  # past any rounding
        surfaces.append(corner + local * lengths)
    return rng.permutation(np.concatenate(surfaces).astype(np.float32)), boxes


def clouds(batch=2, num_points=150, channels=0, seed=0):
    """Make scenes of random points, within 2 m."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((batch, num_points, 3 + channels), generator=generator, dtype=torch.float64) * 2
