"""Pistols: automatics, revolvers, long-barrelled and flintlock pistols, machine pistols. The muzzle points to -z."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import ring_z, smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder, ellipsoid, loft
from data.procedural.sweeps import ring, rod, tube


def build_pistol(dice: Dice) -> Assembly:
    pistol = Assembly("pistol")
    steel = dice.pick((palette.dark, palette.dark, palette.metal, palette.paint))(dice)
    stock = dice.pick((palette.wood, palette.dark, palette.dark, palette.light))(dice)
    _BUILDERS[dice.pick(tuple(_BUILDERS), (4, 3, 2, 1))](pistol, dice, steel, stock)
    return pistol


def _grip(dice, long, wide, thick, lean_deg, *, curl=0.0) -> Solid:
    """Hangs from the origin down, leaning back (+z) by an angle and curling forward below."""
    rings = []
    for t, share in ((0, 1.0), (0.3, 0.9), (0.7, 1.02), (1, dice.between(1.0, 1.2))):
        centre = np.tan(np.radians(lean_deg)) * t * long - curl * long * t**2
        section = ring_z(thick, wide * share, 0.0, power=3.5, num_points=16)
        rings.append(np.stack([section[:, 0], np.full(16, -t * long), section[:, 1] + centre], axis=-1))
    return loft(np.stack(rings))


def _trigger(pistol, dice, y, z, size, color):
    """Guard and trigger below the frame at (y, z)."""
    path = smooth(
        [
            (0, y, z - size),
            (0, y - size * 0.9, z - size * 0.8),
            (0, y - size, z + size * 0.3),
            (0, y - size * 0.2, z + size * 0.9),
        ],
        num_points=14,
    )
    pistol.add("trigger", tube(path, 0.009), color=color)
    hook = smooth([(0, y, z + 0.01), (0, y - size * 0.4, z + 0.012), (0, y - size * 0.75, z - 0.015)], num_points=6)
    pistol.add("trigger", tube(hook, 0.008), color=palette.metal(dice))


def _automatic(pistol, dice, steel, stock):
    length, tall, thick = dice.between(0.75, 1.05), dice.between(0.12, 0.17), dice.between(0.1, 0.13)
    slide = loft(
        np.stack(
            [
                ring_z(thick * w, tall * h, z * length, lift=tall / 2, power=7)
                for z, w, h in ((-0.62, 0.8, 0.85), (-0.58, 1, 1), (0.36, 1, 1), (0.38, 0.9, 0.92))
            ]
        )
    )
    pistol.add("barrel", slide, color=steel)
    pistol.add(
        "barrel", cylinder(0.035, 0.05).turned("x", -90).moved(y=tall * 0.6, z=-length * 0.6), color=palette.metal(dice)
    )
    pistol.add(
        "barrel",
        box(0.02, 0.03, 0.04).moved(y=tall, z=-length * 0.55),
        box(0.04, 0.03, 0.03).moved(y=tall, z=length * 0.33),
        color=steel,
    )
    pistol.add(
        "barrel",
        box(thick * 0.95, tall * 0.4, length * dice.between(0.6, 0.85)).moved(y=-tall * 0.15, z=0.0),
        color=stock,
    )
    if dice.chance(0.3):
        can = cylinder(dice.between(0.045, 0.06), dice.between(0.3, 0.5)).turned("x", -90)
        pistol.add("barrel", can.moved(y=tall * 0.6, z=-length * 0.62), color=palette.dark(dice))
    if dice.chance(0.2):
        pistol.add("barrel", box(0.06, 0.06, 0.15).moved(y=-tall * 0.5, z=-length * 0.35), color=palette.dark(dice))
    long, lean = dice.between(0.38, 0.52), dice.between(5, 22)
    grip = _grip(dice, long, dice.between(0.19, 0.25), thick * 0.95, lean)
    pistol.add("grip", grip.moved(z=length * 0.22), color=stock)
    magazine = box(thick * 0.85, 0.03, 0.22).moved(y=-long, z=length * 0.22 + np.tan(np.radians(lean)) * long)
    pistol.add("grip", magazine, color=steel)
    _trigger(pistol, dice, -tall * 0.3, 0.0, dice.between(0.12, 0.16), steel)


def _revolver(pistol, dice, steel, stock):
    barrel, bore = dice.between(0.3, 0.9), dice.between(0.035, 0.05)
    pistol.add(
        "barrel",
        cylinder(bore, barrel, segments=dice.pick((16, 8))).turned("x", -90).moved(y=0.09, z=-0.15),
        color=steel,
    )
    if dice.chance(0.6):
        pistol.add("barrel", cylinder(bore * 0.6, barrel * 0.8).turned("x", -90).moved(y=0.015, z=-0.15), color=steel)
    pistol.add("barrel", box(0.015, 0.05, 0.05).moved(y=0.15, z=-barrel - 0.1), color=steel)
    drum = cylinder(dice.between(0.1, 0.13), 0.24, segments=dice.pick((6, 12, 20))).turned("x", 90)
    pistol.add("barrel", drum.moved(y=0.06, z=-0.12), color=palette.metal(dice))
    pistol.add(
        "barrel", box(0.07, 0.05, 0.34).moved(y=0.17, z=0.0), box(0.08, 0.26, 0.1).moved(y=0.05, z=0.17), color=steel
    )
    hammer = rod((0, 0.15, 0.2), (0, 0.25, 0.26), 0.018)
    pistol.add("barrel", hammer, color=steel)
    grip = _grip(
        dice,
        dice.between(0.32, 0.46),
        dice.between(0.13, 0.17),
        0.09,
        dice.between(30, 48),
        curl=dice.between(0.1, 0.5),
    )
    pistol.add("grip", grip.moved(y=0.04, z=0.18), color=stock)
    _trigger(pistol, dice, -0.08, 0.03, dice.between(0.11, 0.15), steel)
    pistol.add("barrel", box(0.06, 0.04, 0.34).moved(y=-0.08), color=steel)


def _flintlock(pistol, dice, steel, stock):
    long = dice.between(0.8, 1.2)
    pistol.add("barrel", rod((0, 0.08, 0.1), (0, 0.08, -long), (0.05, 0.036), segments=12), color=steel)
    wood = smooth(
        [(0, 0.04, -long * 0.75), (0, 0.03, 0.0), (0, -0.02, 0.25), (0, -0.2, 0.45), (0, -0.36, 0.5)], num_points=24
    )
    cut = 13
    pistol.add("barrel", tube(wood[: cut + 1], np.linspace(0.03, 0.06, cut + 1)), color=stock)
    pistol.add("grip", tube(wood[cut:], np.linspace(0.06, dice.between(0.05, 0.08), len(wood) - cut)), color=stock)
    pistol.add("grip", ellipsoid(0.075, 0.06, 0.075).moved(*wood[-1]), color=palette.metal(dice))
    cock = smooth([(0.05, 0.08, 0.18), (0.05, 0.2, 0.24), (0.05, 0.22, 0.12)], num_points=8)
    pistol.add("barrel", tube(cock, 0.016), color=palette.metal(dice))
    _trigger(pistol, dice, 0.0, 0.16, dice.between(0.09, 0.12), palette.metal(dice))


def _machine(pistol, dice, steel, stock):
    """Submachine pistols: a boxy receiver, a magazine before or in the grip, sometimes a wire stock."""
    long, tall = dice.between(0.7, 1.0), dice.between(0.16, 0.22)
    pistol.add("barrel", box(0.11, tall, long).moved(y=tall / 2), color=steel)
    pistol.add(
        "barrel",
        rod((0, tall * 0.6, -long / 2), (0, tall * 0.6, -long * dice.between(0.65, 0.85)), 0.03),
        color=palette.metal(dice),
    )
    pistol.add("barrel", ring(0.04, 0.012, axis="z").moved(y=tall + 0.03, z=-long * 0.4), color=steel)
    grip_z = long * dice.between(0.05, 0.3)
    pistol.add(
        "grip", _grip(dice, dice.between(0.32, 0.42), 0.19, 0.1, dice.between(0, 15)).moved(z=grip_z), color=stock
    )
    magazine = box(0.06, dice.between(0.35, 0.6), 0.12)
    pistol.add("barrel", magazine.moved(y=-0.2, z=grip_z - dice.between(0.35, 0.45)), color=palette.dark(dice))
    _trigger(pistol, dice, 0.0, grip_z - 0.17, 0.12, steel)
    if dice.chance(0.4):
        path = np.array([(0.05, tall * 0.6, long / 2), (0.05, tall * 0.5, long * 0.85), (0.05, -0.2, long * 0.9)])
        pistol.add_pair("grip", tube(path, 0.014), color=palette.metal(dice))


_BUILDERS = {
    "automatic": _automatic,
    "revolver": _revolver,
    "flintlock": _flintlock,
    "machine": _machine,
}
