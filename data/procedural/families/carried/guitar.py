"""Guitars: acoustic, electric with horns, single-cut, V- and explorer-shaped, basses, ukuleles; neck up, face to -z."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder, ellipsoid, loft
from data.procedural.sweeps import ring, rod

# left and right edge of the body by height from the tail (0) to the neck joint (1), in half-widths
_ACOUSTIC = (
    (0, -0.3, 0.3),
    (0.04, -0.75, 0.75),
    (0.25, -1, 1),
    (0.45, -0.88, 0.88),
    (0.6, -0.66, 0.66),
    (0.8, -0.74, 0.74),
    (0.94, -0.6, 0.6),
    (1, -0.2, 0.2),
)
_CUTAWAY = (*_ACOUSTIC[:5], (0.8, -0.74, 0.5), (0.92, -0.62, 0.12), (1, -0.2, 0.1))
_HORNS = (
    (0, -0.35, 0.3),
    (0.05, -0.8, 0.75),
    (0.25, -1, 1),
    (0.5, -0.75, 0.7),
    (0.7, -0.72, 0.68),
    (0.85, -0.82, 0.72),
    (0.95, -0.8, 0.5),
    (1.15, -0.62, -0.5),
)
_SINGLE_CUT = (
    (0, -0.3, 0.3),
    (0.05, -0.8, 0.8),
    (0.28, -1, 1),
    (0.55, -0.72, 0.72),
    (0.78, -0.78, 0.76),
    (0.95, -0.6, 0.72),
    (1.02, -0.3, 0.1),
)
_TELE = (
    (0, -0.7, 0.7),
    (0.06, -0.92, 0.92),
    (0.25, -1, 1),
    (0.5, -0.75, 0.8),
    (0.8, -0.85, 0.9),
    (0.96, -0.7, 0.75),
    (1.0, -0.5, 0.2),
)


def build_guitar(dice: Dice) -> Assembly:
    guitar = Assembly("guitar")
    kind = dice.pick(("acoustic", "electric", "vee"), (5, 5, 1))
    length, half = dice.between(0.42, 0.52), dice.between(0.15, 0.21)
    neck = length * dice.between(0.75, 1.15)
    if kind == "acoustic":
        depth = dice.between(0.08, 0.13)
        half *= 1.1
        _acoustic_body(guitar, dice, length, half, depth)
        if dice.chance(0.2):
            neck *= 0.65  # ukulele
    else:
        depth = dice.between(0.035, 0.06)
        _electric_body(guitar, dice, kind, length, half, depth)
    _add_neck(guitar, dice, length, neck, depth, acoustic=kind == "acoustic")
    _add_head(guitar, dice, length + neck, depth, acoustic=kind == "acoustic")
    return guitar


def _plate(table, length, half, depth) -> Solid:
    """A plate between a left and a right edge, a loft of thin rectangles from tail to neck."""
    table = np.asarray(table)
    curve = smooth(table, num_points=30)
    rings = []
    for t, left, right in curve:
        corners = [(left, -0.5), (left + 0.04, -0.56), (right - 0.04, -0.56), (right, -0.5)]
        corners += [(right, 0.5), (right - 0.04, 0.56), (left + 0.04, 0.56), (left, 0.5)]
        flat = np.array(corners)
        rings.append(np.stack([flat[:, 0] * half, np.full(8, t * length), flat[:, 1] * depth], axis=-1))
    return loft(np.stack(rings))


def _acoustic_body(guitar, dice, length, half, depth):
    table = dice.pick((_ACOUSTIC, _ACOUSTIC, _CUTAWAY))
    waist = dice.between(0.85, 1.1)
    table = tuple((t, a * (waist if t == 0.6 else 1), b * (waist if t == 0.6 else 1)) for t, a, b in table)
    guitar.add("body", _plate(table, length, half, depth), color=palette.wood(dice))
    hole = cylinder(half * dice.between(0.24, 0.32), 0.004, segments=24).turned("x", 90)
    guitar.add("body", hole.moved(y=length * 0.65, z=-depth * 0.56 - 0.004), color=palette.dark(dice))
    front = -depth * 0.57
    guitar.add("body", box(half * 0.9, 0.02, 0.012).moved(y=length * 0.28, z=front), color=palette.dark(dice))
    rosette = ring(half * 0.34, 0.005, axis="z").moved(y=length * 0.65, z=front)
    guitar.add("body", rosette, color=palette.wood(dice))


def _electric_body(guitar, dice, kind, length, half, depth):
    paint = dice.pick((palette.paint, palette.paint, palette.dark, palette.light, palette.wood))(dice)
    if kind == "vee":
        for side in (-1, 1):
            end = (side * half * dice.between(0.9, 1.2), -length * dice.between(0.1, 0.3))
            rings = []
            for x, y, w in ((0, length * 0.95, 0.06), (end[0] * 0.6, length * 0.3, 0.1), (*end, 0.06)):
                flat = np.array([(-w, -0.5), (w, -0.5), (w, 0.5), (-w, 0.5)]) * (1, depth)
                rings.append(np.stack([flat[:, 0] + x, np.full(4, y), flat[:, 1]], axis=-1))
            guitar.add("body", loft(np.stack(rings)), color=paint)
        bridge = length * 0.5
    else:
        table = dice.pick((_HORNS, _HORNS, _SINGLE_CUT, _TELE))
        body = _plate(table, length * 0.85, half, depth)
        guitar.add("body", body, color=paint)
        if table is _HORNS:
            horn = rod((half * 0.55, length * 0.72, 0), (half * 0.66, length * 0.92, 0), (0.035, 0.018))
            guitar.add("body", horn.scaled(z=depth / 0.07), color=paint)
        bridge = length * 0.25
    front = -depth * 0.56
    for share in (0.0, 0.14, 0.28)[: dice.count(2, 3)]:
        pickup = box(half * 0.42, 0.03, 0.014).moved(y=bridge + share * length, z=front)
        guitar.add("body", pickup, color=palette.dark(dice))
    guitar.add("body", box(half * 0.5, 0.035, 0.02).moved(y=bridge - 0.05, z=front), color=palette.metal(dice))
    for i in range(dice.count(1, 3)):
        knob = cylinder(0.013, 0.02).turned("x", -90).moved(half * 0.5, bridge - 0.02 - 0.045 * i, front)
        guitar.add("body", knob, color=palette.metal(dice))


def _add_neck(guitar, dice, length, neck, depth, *, acoustic):
    start = length * (0.72 if acoustic else 0.55)
    width, z = dice.between(0.045, 0.065), -depth * 0.45
    board = box(width, length + neck - start, 0.025).moved(y=(length + neck + start) / 2, z=z)
    back = rod((0, length * 0.98, z + 0.014), (0, length + neck, z + 0.01), (width * 0.5, width * 0.4))
    guitar.add("neck", board, color=palette.dark(dice))
    guitar.add("neck", back, color=palette.wood(dice))
    for t in 1 - 0.5 ** (np.arange(1, 13) / 8):
        fret = box(width, 0.004, 0.004).moved(y=length + neck - t * (neck + length - start), z=z - 0.014)
        guitar.add("neck", fret, color=palette.metal(dice))


def _add_head(guitar, dice, base, depth, *, acoustic):
    long, width = dice.between(0.13, 0.2), dice.between(0.07, 0.1)
    slant, one_sided = dice.between(0, 14), not acoustic and dice.chance(0.6)
    lean = width * 0.35 if one_sided else 0.0
    rings = []
    for t, share in ((0, 0.5), (0.15, 0.9), (0.9, 1.0 if not one_sided else 0.6), (1, 0.8 if not one_sided else 0.3)):
        flat = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * (width * share, 0.018)
        rings.append(np.stack([flat[:, 0] + lean * t, np.full(4, t * long), flat[:, 1]], axis=-1))
    place = {"y": base - 0.005, "z": -depth * 0.42}
    guitar.add("head", loft(np.stack(rings)).turned("x", slant).moved(**place), color=palette.wood(dice))
    sides = (-1,) if one_sided else (-1, 1)
    num_pegs = dice.pick((4, 6)) if one_sided else dice.pick((2, 3))
    for side in sides:
        for t in np.linspace(0.25, 0.85, num_pegs):
            peg = rod((0, t * long, 0), (side * width * 0.75, t * long, 0), 0.005)
            button = ellipsoid(0.014, 0.01, 0.006).moved(side * width * 0.75, t * long)
            for piece in (peg, button):
                guitar.add("head", piece.turned("x", slant).moved(**place), color=palette.metal(dice))
