"""What the benchmarks feed to both sides."""

import numpy as np
import torch
from torch import Tensor

from datasets.transforms.point_transforms import PUBLISHED_AUGMENT, unit_sphere


def parse_size(text: str) -> tuple[int, int]:
    """Clouds and points of "8x1024".

    Raises:
        ValueError: not such a text.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--sizes {text}: expected CLOUDSxPOINTS such as 8x1024")
    return int(parts[0]), int(parts[1])


def make_clouds(num_clouds: int, num_points: int, *, dropout: bool) -> Tensor:
    """Random clouds (B, N, 3) in the unit sphere, always the same; `dropout` augments them as pre-training does."""
    rng = np.random.default_rng(0)
    clouds = unit_sphere(rng.standard_normal((num_clouds, num_points, 3)).astype(np.float32))
    if dropout:
        clouds = np.stack([PUBLISHED_AUGMENT(cloud, rng) for cloud in clouds])
    return torch.from_numpy(clouds)
