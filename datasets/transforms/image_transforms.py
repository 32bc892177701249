"""Augmentation of rendered views as CrossPoint published it, drawn from an explicit generator.

All functions work on (..., 3, H, W) tensors of whole numbers from 0 to 255 and, except for the resize, reproduce
Pillow's values: each adjustment truncates to whole numbers. Single pictures and whole batches
(datasets/transforms/batch_augment.py) therefore share their arithmetic on every device.

Source: published code of CrossPoint: exact-square resize, colour jitter 0.4 / 0.4 / 0.4, horizontal flip, ImageNet
statistics. The paper's text also lists a random crop; the code that produced its figures has none.
"""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
JITTER_STRENGTH = 0.4
FLIP_PROBABILITY = 0.5

_STD = torch.tensor(IMAGENET_STD)[:, None, None]
_SCALE = 1 / (255 * _STD)
_SHIFT = torch.tensor(IMAGENET_MEAN)[:, None, None] / _STD
_LUMA = (19595 / 2**16, 38470 / 2**16, 7471 / 2**16)  # exact in float32 for these products

BRIGHTNESS, CONTRAST, SATURATION = ADJUSTMENTS = range(3)


def to_pixels(image: Image.Image) -> Tensor:
    """Convert an RGB picture to a tensor (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def resize_square(pixels: Tensor, size: int) -> Tensor:
    """Resize to size × size, bilinear with antialiasing, ignoring the aspect ratio.

    Depending on the sizes, the result equals Pillow's or differs from it by 1 or 2 in a few percent of the values.
    Shape: (B, 3, H, W) uint8 -> (B, 3, S, S) uint8.
    """
    if pixels.is_cuda:  # has no antialiased interpolation of uint8
        return resize_square_by_float(pixels, size)
    return interpolate(pixels, (size, size), mode="bilinear", antialias=True)


def resize_square_by_float(pixels: Tensor, size: int) -> Tensor:
    """Compute `resize_square` in float32, in Pillow's two passes, each rounded."""
    values = pixels.float()
    for shape in ((pixels.shape[-2], size), (size, size)):
        values = interpolate(values, shape, mode="bilinear", antialias=True).add_(0.5 + 2**-12).floor_()  # halves go up
    return values.to(torch.uint8)


def grey(pixels: Tensor) -> Tensor:
    """Compute the luma in whole numbers, exactly as Pillow does. Shape: (..., 3, H, W) -> (..., 1, H, W)."""
    red, green, blue = pixels.split(1, dim=-3)
    luma = (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    return luma.add_(0.5).floor_()


def mean_grey(luma: Tensor) -> Tensor:
    """Average each picture's luma and round it. Shape: (..., 1, H, W) -> (..., 1, 1, 1)."""
    return luma.mean(dim=(-2, -1), keepdim=True).add_(0.5).floor_()


def blend_(pixels: Tensor, base: Tensor, factor: Tensor | float) -> Tensor:
    """Compute base + factor × (pixels - base) in place, clamped to 0 .. 255 and truncated to whole numbers.

    The base is the mean grey for contrast, each pixel's grey for saturation, 0 for brightness.
    """
    return torch.lerp(base, pixels, factor, out=pixels).clamp_(0, 255).floor_()


def normalize_(pixels: Tensor) -> Tensor:
    """Scale to 0 .. 1 and standardise by ImageNet's mean and deviation, in place."""
    scale, shift = (values.to(pixels.device) for values in (_SCALE, _SHIFT))
    return pixels.mul_(scale).sub_(shift)


class ImageDraw(NamedTuple):
    """order (3,) of the ADJUSTMENTS, factor (3,) of each adjustment, and whether to mirror the picture."""

    order: np.ndarray
    factor: np.ndarray
    flip: bool


def draw_image(rng: np.random.Generator) -> ImageDraw:
    """Draw a random order, factors from U(1 - strength, 1 + strength) and whether to mirror, as published."""
    order = rng.permutation(len(ADJUSTMENTS))
    factor = rng.uniform(1.0 - JITTER_STRENGTH, 1.0 + JITTER_STRENGTH, size=len(ADJUSTMENTS))
    return ImageDraw(order, factor, bool(rng.random() < FLIP_PROBABILITY))


def adjust_(pixels: Tensor, which: int, factor: float) -> Tensor:
    """Apply one of ADJUSTMENTS in place. Shape: (..., 3, H, W) float32 -> the same."""
    if which == BRIGHTNESS:
        return pixels.mul_(factor).clamp_(max=255).floor_()  # blend_ with base 0
    luma = grey(pixels)
    return blend_(pixels, mean_grey(luma) if which == CONTRAST else luma, factor)


def augment_image(pixels: Tensor, draw: ImageDraw, size: int) -> Tensor:
    """Resize, mirror, adjust, normalise: (3, H, W) uint8 -> (3, size, size) float32."""
    return vary_image(resize_square(pixels[None], size)[0], draw)


def plain_image(pixels: Tensor, size: int) -> Tensor:
    """Apply `augment_image` without its random part: (3, H, W) uint8 -> (3, size, size) float32."""
    return normalize_(resize_square(pixels[None], size)[0].float())


def vary_image(pixels: Tensor, draw: ImageDraw) -> Tensor:
    """Apply `augment_image` after its resize: (3, S, S) uint8 -> (3, S, S) float32."""
    result = (pixels.flip(-1) if draw.flip else pixels).float()
    for which in draw.order:
        adjust_(result, which, draw.factor[which])
    return normalize_(result)
