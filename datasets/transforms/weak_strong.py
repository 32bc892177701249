"""Weak and strong augmentation of one cloud and one view, and the patches of a view that are hidden.

Source: CrossMoST (arXiv:2404.10146) and MUST (arXiv:2206.02967), and their code; RandAugment (arXiv:1909.13719).
"""

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from datasets.transforms.image_transforms import normalize_
from datasets.transforms.point_transforms import random_scale, unit_sphere
from datasets.transforms.view_augment import draw_crop

WEAK_SCALE, WEAK_ANGLE, WEAK_ANGLE_CLIP = (0.9, 1.1), 0.06, 0.18  # radians
LEAST_CROP = 0.3
OPERATIONS, SHARE, MAGNITUDE, MAGNITUDES = 2, 0.5, 9, 11  # of RandAugment: 9 of 0 to 10
MASK_RATIO, CELL = 0.3, 2  # share of cells that are hidden, and their side in patches


def weak_cloud(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Centre, scale to radius 1, then by U(0.9, 1.1), and turn a little about every axis. Shape: (N, 3) -> (N, 3).

    Raises:
        ValueError: the cloud has no extent.
    """
    return turn_a_little(random_scale(unit_sphere(points), rng, *WEAK_SCALE), rng)


def turn_a_little(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn about x, y and z by angles from N(0, 0.06), cut at 0.18 radians."""
    angles = np.clip(rng.normal(0, WEAK_ANGLE, 3), -WEAK_ANGLE_CLIP, WEAK_ANGLE_CLIP)
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        turn, (a, b) = np.eye(3), [other for other in range(3) if other != axis]
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        rotation = turn @ rotation
    return points @ rotation.T.astype(np.float32)


def strong_image(pixels: Tensor, size: int, rng: np.random.Generator, fill: tuple[int, int, int]) -> Tensor:
    """Crop, mirror, vary by RandAugment, normalise. Shape: (3, H, W) uint8 -> (3, size, size) float32.

    Each of two operations is left out with probability 1/2. torchvision draws from torch's global generator, which is
    seeded from `rng` here and restored.

    Args:
        fill: colour of what comes into a picture that is turned or moved.
    """
    top, left, height, width = draw_crop(pixels.shape[1], pixels.shape[2], LEAST_CROP, rng)
    view = v2.functional.resized_crop(pixels, top, left, height, width, [size, size], antialias=True)
    if rng.random() < 0.5:
        view = view.flip(-1)
    count = int(rng.binomial(OPERATIONS, SHARE))
    if count:
        vary = v2.RandAugment(count, MAGNITUDE, MAGNITUDES, fill=list(fill))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            view = vary(view)
    return normalize_(view.float())


def hide_patches(grid: int, rng: np.random.Generator) -> np.ndarray:
    """Choose cells of 2 x 2 patches, 0.3 of them rounded up; where the grid is odd, single patches.

    Shape: -> (grid, grid) bool, True where hidden: 60 of 14 x 14.
    """
    cell = CELL if grid % CELL == 0 else 1
    side = grid // cell
    chosen = np.zeros(side * side, dtype=bool)
    chosen[rng.permutation(side * side)[: math.ceil(MASK_RATIO * side * side)]] = True
    return chosen.reshape(side, side).repeat(cell, axis=0).repeat(cell, axis=1)
