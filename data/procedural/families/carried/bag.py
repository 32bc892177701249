"""Bags: tote, handbag, backpack, briefcase, duffel, paper carrier."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import rounded_outline, smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder, ellipsoid, lathe, loft, slab
from data.procedural.sweeps import tube


def build_bag(dice: Dice) -> Assembly:
    bag = Assembly("bag")
    kind = dice.pick(tuple(_BUILDERS))
    cloth = dice.pick((palette.fabric, palette.paint, palette.dark, palette.wood))(dice)
    strap = dice.pick((palette.dark, palette.wood, palette.fabric, palette.metal))(dice)
    _BUILDERS[kind](bag, dice, cloth, strap)
    return bag


def _sack(levels, *, power: float, sag: float = 0.0) -> Solid:
    """Loft of super-elliptic sections given as (height, width, depth), bottom to top."""
    rings = []
    for height, width, depth in levels:
        flat = rounded_outline(width, depth, power=power, num_points=28)
        dip = height - sag * (1 - (2 * flat[:, 0] / width) ** 2) * (height > 0)
        rings.append(np.stack([flat[:, 0], dip, flat[:, 1]], axis=-1))
    return loft(np.stack(rings))


def _loop(half_width, base, rise, z, radius, *, flat=1.0) -> Solid:
    """A carrying loop from one side of the opening to the other."""
    corners = [(-half_width, base, z), (-half_width * 0.95, base + rise * 0.6, z), (0, base + rise, z)]
    corners += [(half_width * 0.95, base + rise * 0.6, z), (half_width, base, z)]
    return tube(smooth(corners, num_points=24), radius, flat=flat, wide=(0, 0, 1))


def _tote(bag, dice, cloth, strap):
    width, height, depth = dice.between(0.32, 0.5), dice.between(0.28, 0.45), dice.between(0.08, 0.2)
    flare = dice.between(0.9, 1.25)
    levels = [(0, width, depth), (height * 0.5, width * (1 + flare) / 2, depth * 0.9)]
    levels.append((height, width * flare, depth * dice.between(0.3, 0.8)))
    bag.add("body", _sack(levels, power=dice.pick((4, 8)), sag=dice.between(0, 0.05)), color=cloth)
    half, rise, thick = width * dice.between(0.18, 0.32), dice.between(0.1, 0.3), dice.between(0.008, 0.018)
    for z in (-depth * 0.25, depth * 0.25):
        bag.add("handle", _loop(half, height * 0.9, rise, z, thick, flat=dice.between(0.4, 1)), color=strap)


def _handbag(bag, dice, cloth, strap):
    width, height, depth = dice.between(0.25, 0.4), dice.between(0.16, 0.28), dice.between(0.09, 0.16)
    bulge = dice.between(1.0, 1.25)
    levels = [(0, width * 0.8, depth * 0.8), (height * 0.1, width * bulge, depth)]
    levels += [(height * 0.5, width * bulge, depth * 1.05), (height * 0.85, width * 0.85, depth * 0.7)]
    levels.append((height, width * dice.between(0.5, 0.8), depth * 0.3))
    bag.add("body", _sack(levels, power=dice.pick((2.5, 4))), color=cloth)
    clasp = ellipsoid(0.02, 0.015, 0.01).moved(y=height * 0.75, z=-depth * 0.42)
    bag.add("body", clasp, color=palette.metal(dice))
    half, rise = width * dice.between(0.2, 0.4), dice.between(0.1, 0.35)
    bag.add("handle", _loop(half, height * 0.85, rise, 0.0, dice.between(0.008, 0.016)), color=strap)


def _backpack(bag, dice, cloth, strap):
    width, height, depth = dice.between(0.26, 0.36), dice.between(0.38, 0.52), dice.between(0.14, 0.22)
    levels = [(0, width * 0.85, depth * 0.8), (height * 0.08, width, depth), (height * 0.6, width, depth)]
    levels += [(height * 0.85, width * 0.9, depth * 0.85), (height, width * 0.5, depth * 0.4)]
    bag.add("body", _sack(levels, power=4), color=cloth)
    pocket = _sack([(0, 0.7 * width, 0.1), (0.3 * height, 0.7 * width, 0.1)], power=5)
    bag.add("body", pocket.moved(y=height * 0.08, z=-depth * 0.5), color=palette.fabric(dice))
    x, z = width * 0.28, depth * 0.45
    corners = [(x, height * 0.88, z), (x, height * 0.8, z + 0.08), (x * 1.2, height * 0.45, z + 0.1)]
    corners.append((x * 1.3, height * 0.1, z))
    band = tube(smooth(corners, num_points=20), dice.between(0.02, 0.032), flat=0.3, wide=(1, 0, 0))
    bag.add_pair("handle", band, color=strap)
    bag.add("handle", _loop(0.05, height * 0.95, 0.05, depth * 0.15, 0.009), color=strap)


def _briefcase(bag, dice, cloth, strap):
    width, height, depth = dice.between(0.38, 0.55), dice.between(0.26, 0.36), dice.between(0.07, 0.14)
    trolley = dice.chance(0.35)
    if trolley:
        width, height, depth = height * 1.15, width * 1.1, depth * 1.7
    case = slab(rounded_outline(width, height, power=10, num_points=36), depth, bevel=0.04).turned("x", 90)
    bag.add("body", case.moved(y=height / 2, z=-depth / 2), color=cloth)
    if trolley:
        rise = dice.between(0.15, 0.4)
        path = np.array(
            [(-0.1, height * 0.9, 0), (-0.1, height + rise, 0), (0.1, height + rise, 0), (0.1, height * 0.9, 0)]
        )
        bag.add("handle", tube(path, 0.012), color=strap)
        wheel = cylinder(0.025, 0.03).turned("z", 90).moved(width * 0.4, -0.01, depth * 0.3)
        bag.add_pair("body", wheel, wheel.moved(z=-depth * 0.6), color=palette.dark(dice))
        return
    rise = dice.between(0.05, 0.09)
    path = np.array(
        [(-0.07, height - 0.01, 0), (-0.06, height + rise, 0), (0.06, height + rise, 0), (0.07, height - 0.01, 0)]
    )
    bag.add("handle", tube(path, dice.between(0.01, 0.016)), color=strap)
    lock = box(0.03, 0.04, 0.012).moved(width * 0.25, height * 0.93, -depth * 0.52)
    bag.add_pair("body", lock, color=palette.metal(dice))


def _duffel(bag, dice, cloth, strap):
    length, radius = dice.between(0.45, 0.65), dice.between(0.11, 0.17)
    profile = [
        (0, 0),
        (radius * 0.85, 0.0),
        (radius, length * 0.08),
        (radius, length * 0.92),
        (radius * 0.85, length),
        (0, length),
    ]
    roll = lathe(profile).turned("z", 90).moved(length / 2).scaled(y=dice.between(0.75, 1.0))
    bag.add("body", roll, color=cloth)
    half, rise = length * dice.between(0.15, 0.25), dice.between(0.1, 0.2)
    for z in (-radius * 0.45, radius * 0.45):
        bag.add("handle", _loop(half, radius * 0.6, rise, z, 0.013, flat=0.5), color=strap)
    if dice.chance(0.4):
        bag.add("handle", _loop(length * 0.48, 0.0, radius + 0.2, 0.0, 0.012, flat=0.5), color=strap)


def _carrier(bag, dice, cloth, strap):
    width, height, depth = dice.between(0.22, 0.36), dice.between(0.3, 0.45), dice.between(0.1, 0.16)
    levels = [(0, width, depth), (height, width, depth * dice.between(0.6, 1.0))]
    bag.add("body", _sack(levels, power=20), color=dice.pick((palette.light(dice), cloth)))
    for z in (-depth * 0.35, depth * 0.35):
        bag.add("handle", _loop(width * 0.2, height, dice.between(0.08, 0.14), z, 0.007), color=strap)


_BUILDERS = {
    "tote": _tote,
    "handbag": _handbag,
    "backpack": _backpack,
    "briefcase": _briefcase,
    "duffel": _duffel,
    "carrier": _carrier,
}
