"""Rockets: finned missiles, multi-stage launchers with boosters, round-bellied space ships; the nose points up."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, cylinder, lathe, loft
from data.procedural.sweeps import rod


def build_rocket(dice: Dice) -> Assembly:
    rocket = Assembly("rocket")
    paint = dice.pick((palette.light, palette.light, palette.metal, palette.paint))(dice)
    accent = dice.pick((palette.paint, palette.paint, palette.dark))(dice)
    _BUILDERS[dice.pick(tuple(_BUILDERS), (3, 3, 3))](rocket, dice, paint, accent)
    return rocket


def _nose(dice, radius, long) -> Solid:
    kind = dice.pick(("cone", "ogive", "dome", "needle"))
    if kind == "cone":
        profile = [(radius, 0), (0.01, long)]
    elif kind == "needle":
        profile = [(radius, 0), (radius * 0.35, long * 0.5), (radius * 0.08, long * 0.55), (0.005, long * 1.2)]
    else:
        full = 0.85 if kind == "ogive" else 0.97
        profile = smooth(
            [(radius, 0), (radius * full, long * 0.4), (radius * 0.5, long * 0.8), (0.004, long)], num_points=12
        )
    return lathe([*profile, (0, profile[-1][1])], segments=24)


def _fin(dice, root, tip, span, sweep, thick) -> Solid:
    """One fin from the axis' side at x = 0 outwards, its trailing edge on y = 0 at the root."""
    rings = []
    for x, low, chord in ((0, 0, root), (span * 0.5, -sweep * 0.5, (root + tip) / 2), (span, -sweep, tip)):
        flat = [(low, 0), (low + chord * 0.5, thick / 2), (low + chord, 0), (low + chord * 0.5, -thick / 2)]
        rings.append([(x, y, z) for y, z in flat])
    return loft(np.array(rings))


def _add_fins(rocket, dice, radius, scale, level, color, *, count=None):
    count = count or dice.pick((3, 4, 4, 6))
    root, span = scale * dice.between(0.12, 0.3), radius * dice.between(0.8, 1.9)
    fin = _fin(dice, root, root * dice.between(0.2, 0.8), span, dice.between(-0.2, 0.5) * root, radius * 0.12)
    for angle in np.arange(count) * 360 / count + 15:
        rocket.add("fin", fin.moved(radius * 0.9, level).turned("y", angle), color=color)


def _missile(rocket, dice, paint, accent):
    radius, long = dice.between(0.05, 0.11), dice.between(0.8, 1.1)
    rocket.add("body", cylinder(radius, long, segments=24), color=paint)
    rocket.add("nose", _nose(dice, radius, dice.between(0.12, 0.35)).moved(y=long), color=accent)
    _add_fins(rocket, dice, radius, long, 0.02, accent)
    if dice.chance(0.5):
        _add_fins(rocket, dice, radius, long * 0.5, long * dice.between(0.45, 0.75), paint, count=4)
    rocket.add("body", cylinder(radius * 0.8, 0.05, top_radius=radius * 0.5).moved(y=-0.05), color=palette.dark(dice))


def _launcher(rocket, dice, paint, accent):
    """Stages of falling width, nozzles, sometimes strap-on boosters and small fins."""
    radius, level = dice.between(0.07, 0.12), 0.0
    foot = radius
    for stage in range(dice.count(2, 4)):
        long = dice.between(0.25, 0.5)
        rocket.add(
            "body", cylinder(radius, long, segments=24).moved(y=level), color=paint if stage % 2 == 0 else accent
        )
        level += long
        narrow = radius * dice.between(0.65, 1.0)
        joint = dice.between(0.02, 0.08)
        rocket.add(
            "body", cylinder(radius, joint, top_radius=narrow, segments=24).moved(y=level), color=palette.dark(dice)
        )
        level, radius = level + joint, narrow
    rocket.add("nose", _nose(dice, radius, radius * dice.between(1.8, 4.0)).moved(y=level), color=accent)
    if dice.chance(0.4):
        rocket.add("nose", rod((0, level, 0), (0, level + radius * 6, 0), radius * 0.08), color=palette.metal(dice))
    for angle in np.arange(4) * 90:
        nozzle = cylinder(foot * 0.4, foot * 0.7, top_radius=foot * 0.2).moved(foot * 0.5, -foot * 0.6)
        rocket.add("body", nozzle.turned("y", angle), color=palette.dark(dice))
    boosters = dice.pick((0, 2, 4))
    side, tall = foot * dice.between(0.45, 0.8), level * dice.between(0.35, 0.6)
    for angle in np.arange(boosters) * 360 / max(boosters, 1):
        place = {"x": foot * 1.15 + side, "y": 0.0}
        rocket.add("body", cylinder(side, tall).moved(**place).turned("y", angle), color=paint)
        cone = lathe([(side, 0), (side * 0.6, side), (0, side * 2.2)])
        rocket.add("nose", cone.moved(place["x"], tall).turned("y", angle), color=accent)
    if not boosters or dice.chance(0.5):
        wide = foot * 1.1 + (2 * side if boosters else 0)
        _add_fins(rocket, dice, wide, level * 0.5, 0.0, accent, count=4)


def _ship(rocket, dice, paint, accent):
    """A cigar-shaped ship that stands on big swept fins."""
    long, fat = dice.between(0.7, 1.0), dice.between(0.12, 0.24)
    belly = dice.between(0.3, 0.55)
    split = 0.72
    curve = smooth(
        [(fat * 0.55, 0), (fat, belly * long), (fat * 0.85, 0.7 * long), (fat * 0.35, 0.92 * long), (0.004, long)],
        num_points=30,
    )
    lower = curve[curve[:, 1] <= split * long]
    upper = curve[curve[:, 1] >= lower[-1, 1]]
    rocket.add("body", lathe([(0, 0), *lower, (0, lower[-1, 1])], segments=28), color=paint)
    rocket.add("nose", lathe([(0, upper[0, 1]), *upper], segments=28), color=accent)
    for angle in (0, 180) if dice.chance(0.5) else (0,):
        port = cylinder(fat * 0.3, 0.03).turned("x", 90).moved(y=belly * long + 0.05, z=fat * 0.93)
        rocket.add("body", port.turned("y", angle), color=palette.dark(dice))
    count = dice.pick((3, 4))
    root, span = long * dice.between(0.25, 0.4), fat * dice.between(0.9, 1.8)
    fin = _fin(dice, root, root * dice.between(0.25, 0.5), span, root * dice.between(0.5, 1.0), fat * 0.2)
    for angle in np.arange(count) * 360 / count:
        rocket.add("fin", fin.moved(fat * 0.6, 0.08 * long).turned("y", angle), color=accent)
    rocket.add("body", cylinder(fat * 0.55, 0.08, top_radius=fat * 0.4).moved(y=-0.08), color=palette.dark(dice))


_BUILDERS = {"missile": _missile, "launcher": _launcher, "ship": _ship}
