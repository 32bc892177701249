"""Augmentation of single views for contrast between views.

Source: Chen et al. 2020, SimCLR, arXiv:2002.05709, for CIFAR: random resized crop, mirror, colour jitter, grey; the
strengths are those of its CIFAR code, without blur.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from datasets.transforms.image_transforms import normalize_

CROP_RATIO = (3 / 4, 4 / 3)
JITTER, HUE, JITTER_SHARE = 0.4, 0.1, 0.8


@dataclass(frozen=True)
class ViewAugment:
    """Augmentation of a view, by default SimCLR's.

    Args:
        least_crop: least share of the picture that a crop keeps, in (0, 1].
        grey: share of the views that lose their colours: what no point cloud shows.
    """

    least_crop: float = 0.2
    grey: float = 0.2

    def __call__(self, pixels: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        """Crop, mirror, jitter, normalise. Shape: (3, H, W) uint8 -> (3, size, size) float32."""
        top, left, height, width = draw_crop(pixels.shape[1], pixels.shape[2], self.least_crop, rng)
        view = F.resized_crop(pixels, top, left, height, width, [size, size], antialias=True)
        if rng.random() < 0.5:
            view = view.flip(-1)
        is_jittered, is_grey = rng.random() < JITTER_SHARE, rng.random() < self.grey
        factors, hue, order = rng.uniform(1 - JITTER, 1 + JITTER, 3), rng.uniform(-HUE, HUE), rng.permutation(4)
        if is_jittered:
            steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)
            for which in order:
                view = F.adjust_hue(view, hue) if which == 3 else steps[which](view, factors[which])
        if is_grey:
            view = F.rgb_to_grayscale(view, 3)
        return normalize_(view.to(torch.float32))


def draw_crop(height: int, width: int, least: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw (top, left, height, width) of a crop of random area and aspect ratio, the whole where none fits."""
    for _ in range(10):
        area = height * width * rng.uniform(least, 1.0)
        ratio = math.exp(rng.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top, left = int(rng.integers(height - crop_height + 1)), int(rng.integers(width - crop_width + 1))
            return top, left, crop_height, crop_width
    return 0, 0, height, width
