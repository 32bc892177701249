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
SIZES = ((0.6, 0.6, 0.6), (1.0, 1.0, 0.4))


def tiny_votenet(num_headings=1, channels=0, mean_sizes=SIZES, **options):
    """Build a VoteNet with few centres and narrow layers."""
    options = {"num_proposals": 16, "members": 8, "width": 32, "radius": 0.3} | options
    return VoteNet(VoteBackbone(channels, STAGES, 32), mean_sizes, num_headings, **options)


def cube_scene(rng, num_points=600):
    """Make a floor of 4 m with three boxes of two classes apart from each other: points (N, 3) and the boxes."""
    label = np.array([0, 1, 0])
    size = (np.array(SIZES)[label] * rng.uniform(0.9, 1.1, (3, 3))).astype(np.float32)
    corners = np.array([(-1.2, -1.2), (1.2, -1.0), (0.0, 1.2)]) + rng.uniform(-0.3, 0.3, (3, 2))
    centre = np.concatenate([corners, size[:, 2:] / 2], axis=1).astype(np.float32)
    boxes = SceneBoxes(centre, size, np.zeros(3, np.float32), label)
    floor = np.concatenate([rng.uniform(-2, 2, (num_points // 3, 2)), np.zeros((num_points // 3, 1))], axis=1)
    surfaces = []
    for middle, lengths in zip(centre, size):
        local = rng.uniform(-0.49, 0.49, (2 * num_points // 9, 3))
        face = rng.integers(0, 3, len(local))
        local[np.arange(len(local)), face] = 0.49 * rng.choice([-1, 1], len(local))  # within, past any rounding
        surfaces.append(middle + local * lengths)
    points = np.concatenate([floor, *surfaces]).astype(np.float32)
    return points[rng.permutation(len(points))], boxes


def clouds(batch=2, num_points=150, channels=0, seed=0):
    """Make scenes of random points, within 2 m."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((batch, num_points, 3 + channels), generator=generator, dtype=torch.float64) * 2
