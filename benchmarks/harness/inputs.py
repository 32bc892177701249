"""Inputs that a benchmark feeds to all of its sides."""

import numpy as np
import torch
from torch import Tensor

from datasets.transforms.point_transforms import PUBLISHED_AUGMENT, unit_sphere


def parse_size(text: str) -> tuple[int, int]:
    """Parse "8x1024" as the numbers of clouds and points.

    Raises:
        ValueError: the text has another form.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--sizes {text}: expected CLOUDSxPOINTS such as 8x1024")
    return int(parts[0]), int(parts[1])


def make_clouds(num_clouds: int, num_points: int, *, dropout: bool) -> Tensor:
    """Make the same random clouds (B, N, 3) in the unit sphere at every call.

    Args:
        dropout: augment them as pre-training does, so that many points are copies of point 0.
    """
    rng = np.random.default_rng(0)
    clouds = unit_sphere(rng.standard_normal((num_clouds, num_points, 3)).astype(np.float32))
    if dropout:
        clouds = np.stack([PUBLISHED_AUGMENT(cloud, rng) for cloud in clouds])
    return torch.from_numpy(clouds)
