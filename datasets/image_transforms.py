"""Augmentation of one rendered view as CrossPoint published it, drawn from an explicit generator.

Source: published code of CrossPoint: exact-square resize, colour jitter 0.4 / 0.4 / 0.4, horizontal flip, ImageNet
statistics. The paper's text also lists a random crop; the code that produced its figures has none.
"""

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_ADJUSTMENTS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)


def to_normalized_tensor(image: Image.Image) -> Tensor:
    """RGB picture -> (3, H, W) float32 with ImageNet's mean and standard deviation removed."""
    return F.normalize(F.to_tensor(image), IMAGENET_MEAN, IMAGENET_STD, inplace=True)


def resize_square(image: Image.Image, size: int) -> Image.Image:
    """Resize to size × size, bilinear with antialiasing; the aspect ratio is not kept."""
    return F.resize(image, [size, size], interpolation=InterpolationMode.BILINEAR)


def colour_jitter(image: Image.Image, rng: np.random.Generator, strength: float = 0.4) -> Image.Image:
    """Change brightness, contrast and saturation in random order, each by a factor U(1 - strength, 1 + strength)."""
    order = rng.permutation(len(_ADJUSTMENTS))
    factors = rng.uniform(1.0 - strength, 1.0 + strength, size=len(_ADJUSTMENTS))
    for which in order:
        image = _ADJUSTMENTS[which](image, factors[which])
    return image


def random_flip(image: Image.Image, rng: np.random.Generator, probability: float = 0.5) -> Image.Image:
    """Mirror left and right with the given probability."""
    return F.hflip(image) if rng.random() < probability else image


def published_image_augment(image: Image.Image, rng: np.random.Generator, size: int) -> Tensor:
    """Resize, jitter, flip, normalise: RGB picture -> (3, size, size) float32."""
    image = resize_square(image, size)
    image = colour_jitter(image, rng)
    return to_normalized_tensor(random_flip(image, rng))
