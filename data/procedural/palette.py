"""Colours of the built-in shapes, RGB in [0, 1], drawn as shades of a material."""

import colorsys

import numpy as np

from data.procedural.dice import Dice

Color = tuple[float, float, float]


def _shade(dice: Dice, hue: tuple, saturation: tuple, value: tuple) -> Color:
    bounds = (hue, saturation, value)
    return colorsys.hsv_to_rgb(*(dice.between(low, high) for low, high in bounds))


def wood(dice: Dice) -> Color:
    return _shade(dice, (0.05, 0.11), (0.35, 0.75), (0.35, 0.85))


def metal(dice: Dice) -> Color:
    return _shade(dice, (0.5, 0.7), (0.0, 0.12), (0.5, 0.85))


def dark(dice: Dice) -> Color:
    """Rubber, black plastic, gunmetal."""
    return _shade(dice, (0.0, 1.0), (0.0, 0.2), (0.1, 0.3))


def light(dice: Dice) -> Color:
    """Porcelain, paper, white plastic."""
    return _shade(dice, (0.0, 1.0), (0.0, 0.15), (0.8, 1.0))


def paint(dice: Dice) -> Color:
    """Any saturated colour."""
    return _shade(dice, (0.0, 1.0), (0.45, 0.95), (0.4, 0.95))


def fabric(dice: Dice) -> Color:
    """Muted cloth and leather."""
    return _shade(dice, (0.0, 1.0), (0.15, 0.55), (0.25, 0.75))


def mixed(dice: Dice) -> Color:
    """Any material."""
    return dice.pick((wood, metal, dark, light, paint, fabric))(dice)


def mottled(vertices: np.ndarray, color: Color, rng: np.random.Generator) -> np.ndarray:
    """Vary a colour slowly over a surface, so that even flat areas are not uniform in a picture.

    Returns: (V, 3) uint8.
    """
    extent = max(np.ptp(vertices, axis=0).max(), 1e-9)
    wave = rng.normal(0.0, 2.5, size=(3, 2))
    phase = rng.uniform(0.0, 2 * np.pi, size=2)
    tone = 1.0 + 0.08 * np.sin(vertices / extent @ wave + phase).sum(axis=1)  # (V,)
    return (255 * np.clip(tone[:, None] * np.asarray(color), 0.0, 1.0)).astype(np.uint8)
