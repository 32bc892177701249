"""Random outlines, profiles and curves of the programs."""

import numpy as np

from data.procedural.curves import rounded_outline, smooth
from data.procedural.dice import Dice

OUTLINES = ("round", "box", "rounded", "polygon", "star", "gear", "wavy", "lens")
PROFILES = ("straight", "taper", "turned", "dome", "oval", "spindle", "steps", "bevel", "flare")


def outline(dice: Dice, kind: str, num_points: int = 24) -> np.ndarray:
    """Draw an outline of extents near 1, star-shaped about its mean; kind is one of OUTLINES.

    Returns: (num_points, 2), or more points where the kind needs them, counter-clockwise.
    """
    if kind in ("round", "box", "rounded"):
        power = {"round": 2.0, "box": 24.0, "rounded": dice.between(2.5, 7)}[kind]
        return rounded_outline(1, 1, power=power, num_points=num_points)
    if kind == "polygon":
        return _radial(np.ones(dice.count(3, 8)), dice.pick((0.0, 0.5)))
    if kind == "star":
        return _radial(np.tile((1.0, dice.between(0.35, 0.8)), dice.count(3, 9)))
    if kind == "gear":
        return _radial(np.tile((1.0, 1.0, *([dice.between(0.7, 0.92)] * 2)), dice.count(6, 14)))
    angle = np.arange(num_points) * 2 * np.pi / num_points
    if kind == "lens":
        radius = 1 / (1 + dice.between(0.6, 4) * np.sin(angle) ** 2)
        return _radial(radius)
    waves = [dice.between(0, 0.25) / wave * np.cos(wave * angle + dice.between(0, 7)) for wave in (2, 3, 4, 5)]
    return _radial(1 + sum(waves))


def profile(dice: Dice, kind: str) -> np.ndarray:
    """Draw (scale, height) rows of a column of height 1 and largest scale near 1; kind is one of PROFILES.

    Returns: (R, 2), R >= 2.
    """
    height = np.linspace(0, 1, 9)
    if kind == "straight":
        return np.stack([np.ones(5), np.linspace(0, 1, 5)], axis=1)
    if kind == "taper":
        return np.stack([np.linspace(1, dice.between(0, 0.9), 6), np.linspace(0, 1, 6)], axis=1)
    if kind == "dome":
        return np.stack([np.maximum(1 - height ** dice.between(1.3, 5), 0) ** 0.5, height], axis=1)
    if kind == "oval":
        power = dice.between(1.6, 4)
        angle = np.linspace(-1, 1, 11)
        return np.stack([(1 - np.abs(angle) ** power) ** (1 / power), (angle + 1) / 2], axis=1)
    if kind == "spindle":
        return np.stack([np.sin(np.pi * height) ** dice.between(0.5, 1.5), height], axis=1)
    if kind == "steps":
        steps = dice.count(2, 4)
        scale = np.sort([dice.between(0.25, 1) for _ in range(steps)])[:: dice.pick((1, -1, -1))]
        level = np.linspace(0, 1, steps + 1)
        return np.stack([np.repeat(scale, 2), np.repeat(level, 2)[1:-1]], axis=1)
    if kind == "bevel":
        rim = dice.between(0.03, 0.25)
        inset = 1 - dice.between(0.1, 0.5)
        return np.array([(inset, 0), (1, rim), (1, 1 - rim), (inset, 1)])
    if kind == "flare":
        return np.stack([dice.between(0.1, 0.5) + height ** dice.between(1.5, 4), height], axis=1)
    corners = [(dice.between(0.2, 1), level) for level in np.linspace(0, 1, dice.count(3, 6))]
    turned = smooth(corners, num_points=16)
    return np.maximum(turned, (0.05, 0))


def curve(dice: Dice, *, corners: int | None = None, wild: float = 1.0, num_points: int = 24) -> np.ndarray:
    """Draw a smooth curve that wanders from the origin, each leg of length 1 turned from the last by up to `wild`.

    Returns: (num_points, 3).
    """
    corners = dice.count(3, 6) if corners is None else corners
    heading, place = dice.rng.normal(size=3), np.zeros(3)
    places = [place]
    for _ in range(corners - 1):
        heading = heading / np.linalg.norm(heading) + wild * dice.rng.normal(size=3) * 0.6
        places.append(places[-1] + heading / np.linalg.norm(heading))
    return smooth(places, num_points=num_points)


def knot(dice: Dice, num_points: int = 72) -> np.ndarray:
    """Draw a closed curve of few Fourier terms in each axis. Returns: (num_points, 3), the last row as the first."""
    angle = np.linspace(0, 2 * np.pi, num_points)
    waves = [dice.count(1, 3) for _ in range(3)]
    axes = [np.cos(wave * angle + dice.between(0, 7)) + 0.4 * np.cos(angle + dice.between(0, 7)) for wave in waves]
    return np.stack(axes, axis=1) * [dice.between(0.2, 1) for _ in range(3)]


def _radial(radius: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """Place points at these distances and equal angles, (K,) -> (K, 2), within extents near 1."""
    angle = (np.arange(len(radius)) + offset) * 2 * np.pi / len(radius)
    return 0.5 * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) / radius.max()
