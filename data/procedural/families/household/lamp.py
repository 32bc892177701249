"""Lamps: table, desk, floor and ceiling lamps, chandeliers."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import rounded_outline, smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder, ellipsoid, lathe, slab
from data.procedural.sweeps import rod, tube


def build_lamp(dice: Dice) -> Assembly:
    lamp = Assembly("lamp")
    frame = dice.pick((palette.metal, palette.dark, palette.wood, palette.paint))(dice)
    cloth = dice.pick((palette.light, palette.light, palette.fabric, palette.paint))(dice)
    _BUILDERS[dice.pick(tuple(_BUILDERS), (3, 3, 3, 2, 2))](lamp, dice, frame, cloth)
    return lamp


def _shade(dice, radius, height) -> Solid:
    """An open shade of one of several profiles, its lower rim on y = 0."""
    kind = dice.pick(("drum", "cone", "bell", "dome", "globe"))
    if kind == "globe":
        return ellipsoid(radius, radius * dice.between(0.8, 1.1), radius).moved(y=radius * 0.8)
    top = radius * {"drum": dice.between(0.8, 1), "cone": dice.between(0.25, 0.55), "bell": 0.35, "dome": 0.12}[kind]
    middle = {"drum": 0.5, "cone": 0.5, "bell": 0.25, "dome": 0.85}[kind]
    profile = [(radius, 0), (top + (radius - top) * middle, height * 0.5), (top, height)]
    outer = smooth(profile, num_points=8)
    inner = outer[::-1] * (0.95, 1.0)
    segments = dice.pick((24, 24, 6, 4))
    return lathe([*outer, *inner], segments=segments)


def _canopy() -> Solid:
    """The cap that covers the hook in the ceiling."""
    return lathe([(0, 0), (0.06, 0), (0.05, -0.03), (0, -0.04)])


def _bulb(size) -> Solid:
    return lathe(
        [
            (0, -size),
            (size * 0.8, -size * 0.5),
            (size, 0),
            (size * 0.4, size),
            (size * 0.4, size * 1.6),
            (0, size * 1.6),
        ],
        segments=12,
    ).turned("x", 180)


def _foot(dice, radius) -> list[Solid]:
    kind = dice.pick(("disc", "dome", "square", "tripod"), (3, 2, 2, 1))
    if kind == "disc":
        return [cylinder(radius, 0.03, segments=28)]
    if kind == "dome":
        return [lathe([(0, 0), (radius, 0), (radius * 0.8, 0.04), (radius * 0.2, 0.08), (0, 0.08)])]
    if kind == "square":
        return [slab(rounded_outline(2 * radius, 1.8 * radius, power=10), 0.035, bevel=0.1)]
    leg = rod((0, 0.1, 0), (radius * 1.3, 0, 0), 0.015)
    return [leg.turned("y", angle) for angle in (30, 150, 270)]


def _table_lamp(lamp, dice, frame, cloth):
    """A turned vase as base under a cloth shade."""
    height, fat = dice.between(0.22, 0.45), dice.between(0.06, 0.15)
    radii = [fat * dice.between(0.4, 1.0) for _ in range(4)]
    profile = smooth([(r, height * i / 3) for i, r in enumerate(radii)], num_points=14)
    base = lathe([(0, 0), *profile, (0.015, height), (0, height)], segments=dice.pick((24, 24, 6, 4)))
    lamp.add("base", base, color=dice.pick((palette.paint, palette.light, palette.wood, palette.metal))(dice))
    if dice.chance(0.5):
        lamp.add("base", *_foot(dice, fat * 1.2), color=frame)
    rise = dice.between(0.06, 0.15)
    lamp.add("stem", cylinder(0.012, rise + 0.06).moved(y=height), color=frame)
    radius, tall = dice.between(0.15, 0.26), dice.between(0.14, 0.26)
    lamp.add("shade", _shade(dice, radius, tall).moved(y=height + rise * 0.6), color=cloth)
    if dice.chance(0.5):
        lamp.add("fixture", _bulb(0.03).moved(y=height + rise + 0.08), color=(0.95, 0.9, 0.7))
        lamp.add("fixture", ellipsoid(0.015, 0.025, 0.015).moved(y=height + rise * 0.6 + tall), color=frame)


def _desk_lamp(lamp, dice, frame, cloth):
    """A jointed or curved arm over a small reflector."""
    lamp.add("base", *_foot(dice, dice.between(0.08, 0.13)), color=frame)
    first, second = dice.between(0.22, 0.35), dice.between(0.2, 0.36)
    lean, over = np.radians(dice.between(10, 40)), np.radians(dice.between(20, 75))
    elbow = np.array([0, 0.03 + first * np.cos(lean), first * np.sin(lean)])
    tip = elbow + second * np.array([0, np.sin(over) * 0.8, -np.cos(over)])
    r = dice.between(0.008, 0.016)
    if dice.chance(0.4):
        path = smooth(
            [(0, 0.03, 0), (0, first * 0.9, 0.02), (0, first + second * 0.4, -second * 0.3), tuple(tip)], num_points=22
        )
        lamp.add("stem", tube(path, r), color=frame)
    else:
        for x in (-0.015, 0.015) if dice.chance(0.4) else (0,):
            lamp.add("stem", rod((x, 0.03, 0), (x, *elbow[1:]), r), rod((x, *elbow[1:]), (x, *tip[1:]), r), color=frame)
        lamp.add("fixture", ellipsoid(0.03, 0.025, 0.025).moved(*elbow), color=palette.metal(dice))
    radius, tall, tilt = dice.between(0.06, 0.11), dice.between(0.09, 0.15), dice.between(-15, 45)
    hood = lathe(
        [
            (radius, 0),
            (radius * 0.8, tall * 0.5),
            (radius * 0.3, tall),
            (0.0, tall),
            (radius * 0.6, tall * 0.5),
            (radius * 0.9, 0),
        ]
    )
    lamp.add("shade", hood.moved(y=-tall * 0.8).turned("x", tilt).moved(*tip), color=dice.pick((frame, cloth)))
    lamp.add("fixture", _bulb(0.03).moved(y=-tall * 0.6).turned("x", tilt).moved(*tip), color=(0.95, 0.9, 0.7))


def _floor_lamp(lamp, dice, frame, cloth):
    height, r = dice.between(1.1, 1.6), dice.between(0.012, 0.025)
    radius, tall = dice.between(0.15, 0.26), dice.between(0.18, 0.32)
    kind = dice.pick(("straight", "arched", "tripod", "uplight"), (3, 2, 2, 1))
    if kind == "tripod":
        for angle in (30, 150, 270):
            lamp.add("base", rod((0.03, height, 0), (0.32, 0, 0), r).turned("y", angle), color=frame)
        lamp.add("stem", cylinder(0.04, 0.12).moved(y=height - 0.06), color=frame)
        top = (0.0, height + 0.05, 0.0)
    else:
        lamp.add("base", *_foot(dice, dice.between(0.13, 0.2)), color=frame)
        top = (0.0, height, -dice.between(0.3, 0.6)) if kind == "arched" else (0.0, height, 0.0)
        path = [(0, 0.02, 0), (0, height * 0.55, 0.02), (0, height * 1.08, top[2] * 0.45), top]
        path = smooth(path, num_points=26) if kind == "arched" else np.array([(0, 0.02, 0), top])
        lamp.add("stem", tube(path, r), color=frame)
    if kind == "uplight":
        bowl = lathe([(0, 0), (0.05, 0), (radius, tall * 0.6), (radius * 0.95, tall * 0.6), (0, 0.03)])
        lamp.add("shade", bowl.moved(y=height), color=cloth)
        return
    lamp.add("shade", _shade(dice, radius, tall).moved(top[0], top[1] - tall * 0.7, top[2]), color=cloth)
    if dice.chance(0.5):
        lamp.add("fixture", _bulb(0.035).moved(top[0], top[1] - tall * 0.2, top[2]), color=(0.95, 0.9, 0.7))


def _pendant(lamp, dice, frame, cloth):
    """Hangs from a canopy by a cord or rod; one shade or a row of them."""
    drop, radius, tall = dice.between(0.3, 0.9), dice.between(0.14, 0.28), dice.between(0.12, 0.28)
    count = dice.pick((1, 1, 1, 3))
    wide = (count - 1) * radius * 2.4
    canopy = _canopy() if count == 1 else box(wide + 0.1, 0.03, 0.06)
    lamp.add("base", canopy, color=frame)
    shade = _shade(dice, radius, tall)
    for x in np.linspace(-wide / 2, wide / 2, count):
        lamp.add("stem", rod((x, 0, 0), (x, -drop, 0), dice.between(0.006, 0.012)), color=frame)
        lamp.add("shade", shade.moved(x, -drop - tall * 0.95), color=cloth)
        lamp.add("fixture", _bulb(0.035).moved(x, -drop - tall * 0.5), color=(0.95, 0.9, 0.7))


def _chandelier(lamp, dice, frame, cloth):
    arms, reach, drop = dice.count(3, 8), dice.between(0.25, 0.45), dice.between(0.25, 0.6)
    lamp.add("base", _canopy(), color=frame)
    lamp.add("stem", rod((0, 0, 0), (0, -drop, 0), 0.012), ellipsoid(0.05, 0.07, 0.05).moved(y=-drop), color=frame)
    dip, up = dice.between(0.05, 0.15), dice.chance(0.6)
    corners = [(0.03, -drop, 0), (reach * 0.5, -drop - dip, 0), (reach, -drop + (0.03 if up else 0.02), 0)]
    arm = tube(smooth(corners, num_points=12), 0.01)
    cup = _shade(dice, dice.between(0.05, 0.09), dice.between(0.06, 0.1))
    for angle in np.arange(arms) * 360 / arms:
        lamp.add("stem", arm.turned("y", angle), color=frame)
        level = -drop + 0.05 if up else -drop - 0.07
        lamp.add("shade", cup.moved(reach, level).turned("y", angle), color=cloth)
        candle = cylinder(0.014, 0.06).moved(reach, -drop)
        lamp.add("fixture", candle.turned("y", angle), color=palette.light(dice))


_BUILDERS = {
    "table": _table_lamp,
    "desk": _desk_lamp,
    "floor": _floor_lamp,
    "pendant": _pendant,
    "chandelier": _chandelier,
}
