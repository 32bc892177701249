"""Augmentation of whole batches on their device.

Distributions and arithmetic are those of single items (point_transforms.py, image_transforms.py); every parameter is
drawn separately for each cloud and image. Drawing is separate from applying, so that each can be tested.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets.transforms.image_transforms import (
    ADJUSTMENTS,
    BRIGHTNESS,
    CONTRAST,
    FLIP_PROBABILITY,
    JITTER_STRENGTH,
    blend_,
    grey,
    mean_grey,
    normalize_,
    resize_square,
)
from datasets.transforms.point_transforms import JITTER_CLIP, JITTER_SIGMA, PointAugment, quaternion_matrix


class PointDraws(NamedTuple):
    """factor (B,), rotation (B, 3, 3) or None, shift (B, 3) in extents, noise (B, N, 3), dropped (B, N) bool."""

    factor: Tensor
    rotation: Tensor | None
    shift: Tensor
    noise: Tensor
    dropped: Tensor


class ImageDraws(NamedTuple):
    """ImageDraw for each image of a batch: order (B, 3), factor (B, 3), flip (B,) bool."""

    order: Tensor
    factor: Tensor
    flip: Tensor


def batch_generator(device: torch.device, seed: int, epoch: int, step: int) -> torch.Generator:
    """Create an independent generator for every (seed, epoch, step).

    A CUDA generator takes a seed of 64 random bits. A CPU generator would use only 32 of them, which two batches of a
    run may share, so all 624 words of its state are set: one every eight bytes after a header of 24 bytes.
    """
    rng, generator = np.random.default_rng((seed, epoch, step)), torch.Generator(device)
    if generator.device.type != "cpu":
        return generator.manual_seed(int(rng.integers(2**64, dtype=np.uint64)))
    state = generator.manual_seed(0).get_state()
    state.view(torch.int64)[3:627] = torch.from_numpy(rng.integers(2**32, size=624))
    return generator.set_state(state)


def draw_points(settings: PointAugment, num_clouds: int, num_points: int, generator: torch.Generator) -> PointDraws:
    """Draw the parameters of `settings` for each of `num_clouds` clouds, on the generator's device."""

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low

    noise = torch.randn(num_clouds, num_points, 3, generator=generator, device=generator.device)
    rotation = None
    if settings.rotation == "y":
        rotation = rotations_about_y(uniform(num_clouds, high=2 * math.pi))
    elif settings.rotation == "so3":
        rotation = quaternion_rotations(torch.randn(num_clouds, 4, generator=generator, device=generator.device))
    ratio = uniform(num_clouds, 1, high=settings.max_dropout)
    return PointDraws(
        uniform(num_clouds, low=1 / settings.max_scale, high=settings.max_scale),
        rotation,
        uniform(num_clouds, 3, low=-settings.translation, high=settings.translation),
        noise.mul_(JITTER_SIGMA).clamp_(-JITTER_CLIP, JITTER_CLIP),
        uniform(num_clouds, num_points) <= ratio,
    )


def rotations_about_y(angle: Tensor) -> Tensor:
    """Build rotation matrices about y. Shape: (B,) radians -> (B, 3, 3)."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], dim=-1).unflatten(-1, (3, 3))


def quaternion_rotations(quaternion: Tensor) -> Tensor:
    """Build the rotation matrices of quaternions of any length but 0. Shape: (B, 4) -> (B, 3, 3)."""
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = quaternion_matrix(w, x, y, z)
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def augment_points(points: Tensor, draws: PointDraws) -> Tensor:
    """Normalise, scale, rotate, translate, jitter, drop. Shape: (B, N, 3) float32 -> the same.

    The points of a cloud must not all coincide.
    """
    points = points - points.mean(dim=1, keepdim=True)
    radius = points.square().sum(dim=-1).amax(dim=1).sqrt()
    points = points * (draws.factor / radius)[:, None, None]
    if draws.rotation is not None:  # not a matrix product, whose precision may be lower on a GPU
        points = torch.stack([(points * row[:, None]).sum(dim=-1) for row in draws.rotation.unbind(1)], dim=-1)
    extent = points.amax(dim=1) - points.amin(dim=1)  # (B, 3)
    points = points + (draws.shift * extent)[:, None] + draws.noise
    return torch.where(draws.dropped[..., None], points[:, :1], points)


def draw_images(num_images: int, generator: torch.Generator) -> ImageDraws:
    """Draw what `draw_image` draws for each of `num_images` images, on the generator's device."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    order = uniform(num_images, len(ADJUSTMENTS)).argsort(dim=1)
    factor = 1 + JITTER_STRENGTH * (2 * uniform(num_images, len(ADJUSTMENTS)) - 1)
    return ImageDraws(order, factor, uniform(num_images) < FLIP_PROBABILITY)


def augment_images(images: Tensor, draws: ImageDraws, size: int) -> Tensor:
    """Resize, mirror, adjust, normalise. Shape: (B, 3, H, W) uint8 -> (B, 3, S, S) float32."""
    resized = resize_square(images, size)
    pixels = torch.where(draws.flip[:, None, None, None], resized.flip(-1), resized).float()
    for which in draws.order.unbind(1):  # (B,): the adjustment of each image
        kind = which[:, None, None, None]
        factor = draws.factor.gather(1, which[:, None])[..., None, None]
        luma = grey(pixels)
        base = torch.where(kind == CONTRAST, mean_grey(luma), luma).mul_(kind != BRIGHTNESS)
        pixels = blend_(pixels, base, factor)
    return normalize_(pixels)


class BatchAugment:
    """Augments the batches of a data set with `augment=False`, on their device.

    The draws of a batch are a function of (seed, epoch, step) and the kind of device. They are made for the batch of
    all ranks, of which each rank uses its rows, so that a step does not depend on the number of ranks.

    Args:
        clouds: keys of the clouds in a batch and what augments each; clouds with equal settings are drawn together.
        image_size: side of the images, pixels.
        seed: of the run, >= 0.
        rank, world_size: the batch is the rank-th of world_size equal parts of the step's batch.
    """

    def __init__(
        self, clouds: Mapping[str, PointAugment], image_size: int, seed: int, rank: int = 0, world_size: int = 1
    ):
        self.groups: dict[PointAugment, list[str]] = {}
        for key, settings in clouds.items():
            self.groups.setdefault(settings, []).append(key)
        self.image_size = image_size
        self.seed = seed
        self.rank, self.world_size = rank, world_size

    def __call__(self, batch: dict[str, Tensor], epoch: int, step: int) -> dict[str, Tensor]:
        """Return the batch, its clouds (B, N, 3) and, where present, its image (B, 3, H, W) uint8 augmented.

        Of several views, (B, V, 3, H, W), each is augmented on its own.
        """
        device = next(batch[keys[0]].device for keys in self.groups.values())
        generator = batch_generator(device, self.seed, epoch, step)
        augmented: dict[str, Tensor] = {}
        for settings, keys in self.groups.items():
            points = torch.cat([batch[key] for key in keys])
            draws = draw_points(settings, len(points) * self.world_size, points.shape[1], generator)
            draws = PointDraws(*(self._rank_rows(values, len(keys)) for values in draws))
            augmented |= zip(keys, augment_points(points, draws).chunk(len(keys)))
        if "image" in batch:
            images = batch["image"].flatten(0, -4)
            draws = draw_images(len(images) * self.world_size, generator)
            draws = ImageDraws(*(self._rank_rows(values, 1) for values in draws))
            augmented["image"] = augment_images(images, draws, self.image_size).unflatten(0, batch["image"].shape[:-3])
        return batch | augmented

    def _rank_rows(self, values: Tensor | None, num_keys: int) -> Tensor | None:
        """Select this rank's rows of each key; the draws of all ranks stand key by key, and within a key by rank."""
        if values is None or self.world_size == 1:
            return values
        rows = values.unflatten(0, (num_keys, self.world_size, -1))
        return rows[:, self.rank].flatten(0, 1)
