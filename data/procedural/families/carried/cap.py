"""Caps: baseball caps, bucket hats, peaked caps, brimmed hats, flat caps. The visor points to -z."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, ellipsoid, lathe
from data.procedural.sweeps import ring, sheet


def build_cap(dice: Dice) -> Assembly:
    cap = Assembly("cap")
    cloth = dice.pick((palette.paint, palette.fabric, palette.dark, palette.light))(dice)
    edge = cloth if dice.chance(0.5) else palette.paint(dice)
    _BUILDERS[dice.pick(tuple(_BUILDERS), (4, 2, 2, 2, 1))](cap, dice, cloth, edge)
    return cap


def _visor(radius, reach, half_deg, droop, level, *, bend=0.0) -> Solid:
    """A crescent from the rim outwards over 2 * half_deg of its front, drooping and bent down at the sides."""
    angle = np.radians(np.linspace(-half_deg, half_deg, 19))
    rows = []
    for t in np.linspace(0.0, 1.0, 5):
        # pointed ends: the crescent narrows to nothing at both sides
        length = radius * 0.95 + reach * t * np.cos(angle / np.radians(half_deg) * np.pi / 2) ** 0.6
        y = level - droop * t - bend * np.sin(angle) ** 2
        rows.append(np.stack([length * np.sin(angle), y, -length * np.cos(angle)], axis=-1))
    return sheet(np.stack(rows), 0.006 + 0.02 * radius)


def _brim(inner, outer, level, droop, *, roll=0.0, length=1.0) -> Solid:
    """A brim all the way round, turned up at the sides by `roll`."""
    angle = np.linspace(0, 2 * np.pi, 33)
    rows = []
    for t in np.linspace(0, 1, 6):
        radius = inner + (outer - inner) * t
        y = level - droop * t + roll * t**2 * np.sin(angle) ** 2
        rows.append(np.stack([radius * np.sin(angle), y, -length * radius * np.cos(angle)], axis=-1))
    return sheet(np.stack(rows), 0.015 * outer)


def _shell(profile) -> Solid:
    """A turned crown, hollow below: the profile runs from the rim up, the inside follows it back."""
    profile = smooth(profile, num_points=14)
    inside = profile[::-1] * 0.94
    return lathe([*profile, *inside[1:]], segments=28)


def _baseball(cap, dice, cloth, edge):
    height = dice.between(0.75, 1.15)
    full = dice.between(1.0, 1.15)
    profile = [(1, 0), (full, 0.35 * height), (0.75 * full, 0.8 * height), (0.35, 0.98 * height), (0.001, height)]
    long = dice.between(1.0, 1.2)
    cap.add("crown", _shell(profile).scaled(z=long), color=cloth)
    if dice.chance(0.7):
        cap.add("crown", ellipsoid(0.08, 0.05, 0.08).moved(y=height), color=edge)
    visor = _visor(
        1.0, dice.between(0.6, 1.0), dice.between(50, 75), dice.between(0.0, 0.35), 0.03, bend=dice.between(0.0, 0.3)
    )
    cap.add("brim", visor.scaled(z=long), color=edge)


def _bucket(cap, dice, cloth, edge):
    height, top = dice.between(0.7, 1.1), dice.between(0.6, 0.9)
    profile = [(1, 0), (1 - (1 - top) * 0.5, height * 0.5), (top, height * 0.92), (top * 0.6, height), (0.001, height)]
    cap.add("crown", _shell(profile), color=cloth)
    cap.add("brim", _brim(0.95, dice.between(1.3, 1.7), 0.02, dice.between(0.1, 0.5)), color=edge)


def _peaked(cap, dice, cloth, edge):
    """Officers', drivers' and sailors' caps: a band, a wide flat top, a short visor."""
    band, wide, rise = dice.between(0.25, 0.4), dice.between(1.15, 1.45), dice.between(0.2, 0.4)
    profile = [(1, 0), (1, band), (wide, band + rise * 0.8), (wide * 0.85, band + rise), (0.001, band + rise * 1.05)]
    tilt = dice.between(-12, 0)
    cap.add("crown", _shell(profile).turned("x", tilt), color=cloth)
    if dice.chance(0.5):
        badge = ellipsoid(0.12, 0.14, 0.05).moved(y=band * 0.7, z=-1.02)
        cap.add("crown", badge, color=palette.metal(dice))
    cap.add("brim", _visor(1.0, dice.between(0.35, 0.6), 62, dice.between(0.15, 0.4), 0.05), color=edge)


def _brimmed(cap, dice, cloth, edge):
    """Fedora, cowboy and sun hats, top hats."""
    height, top = dice.between(0.6, 1.6), dice.between(0.75, 1.0)
    profile = [
        (1, 0),
        (0.95, height * 0.4),
        (top, height * 0.9),
        (top * 0.7, height),
        (0.001, height * dice.between(0.85, 1)),
    ]
    long = dice.between(1.0, 1.3)
    cap.add("crown", _shell(profile).scaled(z=long), color=cloth)
    if dice.chance(0.6):
        ribbon = ring(1.0, 0.07, axis="y", segments=28).scaled(y=dice.between(0.8, 1.6), z=long)
        cap.add("crown", ribbon.moved(y=0.12), color=palette.dark(dice))
    roll = dice.pick((0.0, 0.1, 0.5))
    brim = _brim(0.95, dice.between(1.5, 2.2), 0.02, dice.between(-0.05, 0.15), roll=roll, length=long)
    cap.add("brim", brim, color=edge)


def _flat(cap, dice, cloth, edge):
    """Flat caps: the crown leans forward over a short visor."""
    height = dice.between(0.45, 0.65)
    profile = [(0.95, 0), (1.15, height * 0.35), (1.0, height * 0.75), (0.5, height), (0.001, height)]
    crown = _shell(profile)
    lean = 0.35 * np.clip(crown.vertices[:, 2] * -1, -1, 1)
    vertices = crown.vertices.copy()
    vertices[:, 1] *= 1 - lean * 0.8
    vertices[:, 2] *= 1.2
    cap.add("crown", Solid(vertices, crown.faces), color=cloth)
    cap.add("brim", _visor(1.15, dice.between(0.3, 0.45), 55, 0.12, 0.06).scaled(z=1.08), color=edge)


_BUILDERS = {
    "baseball": _baseball,
    "bucket": _bucket,
    "peaked": _peaked,
    "brimmed": _brimmed,
    "flat": _flat,
}
