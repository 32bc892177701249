"""Compositions of several shapes: their clouds as one cloud, their views as one picture.

Rows are points, y is up.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from datasets.transforms.point_transforms import turn_y, unit_sphere

MOST_SHAPES = 3
_SIZES = (0.6, 1.0)  # of a shape, its radius
_GAPS = (0.6, 1.1)  # between two, in the sum of their radii seen from above: below 1 they may overlap


def draw_others(index: int, num_shapes: int, probability: float, rng: np.random.Generator) -> list[int]:
    """Draw whether a shape is composed and, if so, one or two others with equal chances; return their numbers.

    Args:
        index: of the shape itself, which is never drawn.
        num_shapes: to draw from, at least MOST_SHAPES.
    """
    if rng.random() >= probability:
        return []
    others = rng.choice(num_shapes - 1, size=rng.integers(1, MOST_SHAPES), replace=False)
    return [int(other + (other >= index)) for other in others]


def compose_clouds(clouds: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Stand clouds on one ground, the first in the middle; return all their points, scaled to the unit sphere.

    Each is given a radius from U(0.6, 1) and turned about y by any angle. The second stands in any direction of the
    first, the third not beside the second: at least 120 degrees from it. They touch, overlap or stand apart a little.

    Args:
        clouds: (M, 3) each, of the unit sphere.
    Returns:
        (sum of M, 3) float32.
    """
    placed, radii, direction = [], [], rng.uniform(0.0, 2 * math.pi)
    for number, cloud in enumerate(clouds):
        points = turn_y(cloud, rng.uniform(0.0, 2 * math.pi)) * np.float32(rng.uniform(*_SIZES))
        points[:, 1] -= points[:, 1].min()
        radii.append(np.linalg.norm(points[:, [0, 2]], axis=1).max())
        if number:
            gap = (radii[0] + radii[-1]) * rng.uniform(*_GAPS)
            points += np.array([gap * math.cos(direction), 0, gap * math.sin(direction)], dtype=np.float32)
            direction += rng.uniform(2 / 3 * math.pi, 4 / 3 * math.pi)
        placed.append(points)
    return unit_sphere(np.concatenate(placed))


def compose_views(views: Sequence[Tensor], background: tuple[int, int, int]) -> Tensor:
    """Lay n views in a row across the middle of a picture as large as the first, each shrunk to 1 / n of its sides.

    Shape: n of (3, H, W) uint8 -> (3, H, W) uint8 of the first.

    Args:
        background: (r, g, b) above and below them.
    """
    _, height, width = views[0].shape
    cell = max(1, height // len(views)), max(1, width // len(views))
    cells = [interpolate(view[None], cell, mode="bilinear", antialias=True)[0] for view in views]
    row = torch.cat(cells, dim=-1)[..., :width]  # a picture narrower than n pixels has no room for all
    picture = torch.tensor(background, dtype=torch.uint8)[:, None, None].repeat(1, height, width)
    top, left = (height - row.shape[1]) // 2, (width - row.shape[2]) // 2
    picture[:, top : top + row.shape[1], left : left + row.shape[2]] = row
    return picture
