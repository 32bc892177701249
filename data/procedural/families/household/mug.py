"""Mugs: straight, tapered, bulged, square and footed cups with ear, ring, square and strap handles."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import smooth
from data.procedural.dice import Dice
from data.procedural.solids import lathe
from data.procedural.sweeps import ring, tube


def build_mug(dice: Dice) -> Assembly:
    mug = Assembly("mug")
    height = dice.between(0.6, 1.6)
    radii = {
        "straight": (1.0, 1.0, 1.0),
        "tapered": (dice.between(0.6, 0.85), 0.9, 1.0),
        "conical": (1.0, 0.85, dice.between(0.6, 0.8)),
        "bulged": (0.75, dice.between(1.0, 1.2), dice.between(0.7, 0.9)),
        "waisted": (0.95, dice.between(0.7, 0.85), 1.0),
        "bowl": (0.45, dice.between(0.85, 1.0), 1.05),
    }[dice.pick(("straight", "tapered", "conical", "bulged", "waisted", "bowl"))]
    radii = np.array(radii) * dice.between(0.42, 0.62)
    glaze = dice.pick((palette.light, palette.light, palette.paint, palette.fabric, palette.dark))(dice)
    corner = _add_body(mug, dice, radii, height, glaze)
    color = glaze if dice.chance(0.7) else palette.paint(dice)
    _add_handle(mug, dice, radii, height, color, corner)
    return mug


def _add_body(mug, dice, radii, height, glaze):
    """A cup with a floor: outside from the foot up, inside back down."""
    wall, floor = dice.between(0.03, 0.06), dice.between(0.04, 0.1)
    outside = smooth(list(zip(radii, np.array([0, 0.5, 1]) * height)), num_points=12)
    inside = outside[::-1] - (wall, 0)
    inside[:, 1] = np.maximum(inside[:, 1], floor)
    segments = dice.pick((32, 32, 32, 6, 4))
    profile = [(0, 0), *outside, *inside, (0, floor)]
    cup = lathe(profile, segments=segments)
    if segments == 4:
        cup = cup.turned("y", 45)
    mug.add("body", cup, color=glaze)
    if dice.chance(0.3):
        foot = ring(radii[0] * 0.85, 0.03, axis="y", segments=28)
        mug.add("body", foot, color=glaze)
    if dice.chance(0.3):
        level = dice.between(0.3, 0.9)
        band = np.interp(level, (0, 0.5, 1), radii)
        stripe = ring(band, wall * 0.5, axis="y", segments=32).moved(y=level * height)
        if segments == 32:
            mug.add("body", stripe, color=palette.paint(dice))
    return 0.72 if segments == 4 else 1.0


def _add_handle(mug, dice, radii, height, color, corner):
    kind = dice.pick(("ear", "ring", "square", "strap", "open"), (4, 2, 2, 2, 1))
    low, high = height * dice.between(0.1, 0.3), height * dice.between(0.68, 0.9)
    reach = dice.between(0.2, 0.42)
    inner_low, inner_high = (np.interp(y, np.array([0, 0.5, 1]) * height, radii) * corner - 0.02 for y in (low, high))
    out = max(inner_low, inner_high) + reach
    if kind == "square":
        corners = [(inner_low, low), (out, low), (out, high), (inner_high, high)]
        path = np.array(corners)
    elif kind == "ring":
        middle = (low + high) / 2
        size = (high - low) / 2
        angle = np.linspace(-0.62 * np.pi, 0.62 * np.pi, 20)
        path = np.stack(
            [min(inner_low, inner_high) + size * 0.6 + size * np.cos(angle), middle + size * np.sin(angle)], axis=-1
        )
    elif kind == "open":
        corners = [(inner_high, high), (out * 0.95, high), (out, (low + high) / 2), (out * 0.93, low + 0.05)]
        path = smooth(corners, num_points=18)
    else:
        sag = dice.between(0.0, 0.4)
        corners = [
            (inner_low, low),
            (out * 0.92, low + (high - low) * (0.35 - 0.2 * sag)),
            (out, low + (high - low) * 0.7),
            (inner_high + reach * 0.4, high + 0.04),
            (inner_high, high),
        ]
        path = smooth(corners, num_points=20)
    path = np.concatenate([path, np.zeros((len(path), 1))], axis=1)
    thick, flat = dice.between(0.045, 0.08), dice.between(0.35, 0.6) if kind == "strap" else dice.between(0.8, 1.0)
    width = thick * 1.4 if kind == "strap" else thick
    handle = tube(path, width, segments=10, flat=flat, wide=(0, 0, 1))
    mug.add("handle", handle.turned("y", dice.between(-20, 20) if corner == 1 else 0), color=color)
    if dice.chance(0.06):
        mug.add("handle", handle.turned("y", 180), color=color)
