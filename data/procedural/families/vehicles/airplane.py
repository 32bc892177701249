"""Airplanes: airliners, propeller planes, gliders, biplanes and delta-winged jets. The nose points to -z."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import interpolate, ring_z
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder, ellipsoid, lathe, loft
from data.procedural.sweeps import rod

# along the fuselage from nose (0) to tail (1): width, height, lift of the centre, in radii
_AIRLINER = ((0, 0.05, 0.05, -0.3), (0.03, 0.9, 0.8, -0.25), (0.1, 1.9, 1.9, 0), (0.65, 2, 2, 0), (1, 0.2, 0.3, 0.7))
_PROPELLER = ((0, 0.8, 0.8, 0), (0.12, 1.6, 1.7, 0), (0.3, 2, 2.6, 0.3), (0.5, 1.8, 2.1, 0.2), (1, 0.2, 0.5, 0.4))
_GLIDER = ((0, 0.1, 0.1, 0), (0.08, 1.6, 1.7, 0), (0.25, 1.7, 2.2, 0.2), (0.45, 0.7, 0.8, 0.3), (1, 0.4, 0.5, 0.4))
_FIGHTER = ((0, 0.05, 0.05, 0), (0.2, 1.2, 1.2, 0), (0.35, 1.7, 2.0, 0.3), (0.6, 2.6, 1.6, 0), (1, 1.8, 1.3, 0))


def build_airplane(dice: Dice) -> Assembly:
    plane = Assembly("airplane")
    kind = dice.pick(("airliner", "propeller", "glider", "biplane", "fighter"), (4, 2, 1, 1, 2))
    paint = dice.pick((palette.light, palette.metal, palette.paint))(dice)
    accent = palette.paint(dice) if dice.chance(0.6) else paint
    _BUILDERS[kind](plane, dice, paint, accent)
    return plane


def _fuselage(table, radius: float, length: float) -> Solid:
    rings = []
    for t in np.linspace(0, 1, 22):
        width, height, lift = interpolate(table, np.array([t]))[0] * radius
        rings.append(ring_z(width, height, (t - 0.5) * length, lift=lift, num_points=18))
    return loft(np.stack(rings))


def _wing(root, tip, span, *, sweep, rise=0.0, thickness=0.12) -> Solid:
    """Right wing from x = 0: chords root and tip, the tip shifted back by sweep and up by rise."""
    shape = np.array([[-0.5, 0], [-0.35, 0.5], [0, 0.45], [0.5, 0], [0, -0.3], [-0.35, -0.4]])
    rings = []
    for t in (0.0, 0.5, 1.0):
        chord = root + (tip - root) * t
        z, y = shape[:, 0] * chord + sweep * t, shape[:, 1] * chord * thickness + rise * t
        rings.append(np.stack([np.full(6, span * t), y, z], axis=-1))
    return loft(np.stack(rings))


def _tail(plane, dice, length, radius, color, *, high: bool, scale=1.0):
    tall, chord = scale * length * dice.between(0.12, 0.18), scale * length * dice.between(0.1, 0.15)
    z, y = length * 0.44, radius * 0.5
    fin = _wing(chord * 1.3, chord * 0.6, tall, sweep=chord * dice.between(0.2, 0.9)).turned("z", 90)
    plane.add("tail", fin.moved(y=y, z=z), color=color)
    sweep = chord * dice.between(0.1, 0.8)
    flat = _wing(chord, chord * 0.5, length * dice.between(0.13, 0.19) * scale, sweep=sweep)
    lift = (y + tall * 0.95, z + chord * 0.5) if high else (y, z)
    plane.add_pair("tail", flat.moved(0, *lift), color=color)


def _nacelle(dice, radius: float, length: float) -> Solid:
    profile = [(0, 0.15), (0.7, 0.15), (0.85, 0), (1, 0.1), (1, 0.5), (0.6, 1), (0.3, 0.95), (0, 0.95)]
    turned = lathe([(r * radius, y * length) for r, y in profile], segments=16)
    return turned.turned("x", 90).moved(z=-length / 2)


def _airliner(plane, dice, paint, accent):
    length, radius = dice.between(3.2, 4.6), dice.between(0.18, 0.28)
    plane.add("body", _fuselage(_AIRLINER, radius, length), color=paint)
    span, root = length * dice.between(0.38, 0.52), length * dice.between(0.16, 0.24)
    sweep, rise = span * dice.between(0.35, 0.75), span * dice.between(0.02, 0.14)
    at = dice.pick((-0.5, -0.5, 0.6))
    wing = _wing(root, root * dice.between(0.25, 0.45), span, sweep=sweep, rise=rise)
    start = -length * dice.between(0.02, 0.1)
    plane.add_pair("wing", wing.moved(y=at * radius, z=start), color=paint)
    if dice.chance(0.3):
        tip = box(0.02, 0.15 * span, root * 0.25).moved(span, at * radius + rise + 0.06 * span, start + sweep)
        plane.add_pair("wing", tip, color=accent)
    rear = dice.chance(0.25)
    size = radius * dice.between(0.35, 0.55)
    nacelle = _nacelle(dice, size, size * dice.between(2.5, 3.5))
    if rear:
        plane.add_pair("engine", nacelle.moved(radius * 1.3, radius * 0.3, length * 0.27), color=accent)
    else:
        for share in dice.pick(((0.33,), (0.33,), (0.28, 0.55))):
            y = at * radius + rise * share - size * 1.1
            z = start + sweep * share - root * 0.45
            plane.add_pair("engine", nacelle.moved(share * span, y, z), color=accent)
    _tail(plane, dice, length, radius, accent, high=rear or dice.chance(0.15))


def _propeller_disc(dice, radius: float) -> list[Solid]:
    blades = dice.count(2, 4)
    hub = ellipsoid(radius * 0.14, radius * 0.14, radius * 0.25)
    blade = box(radius * 0.14, radius, radius * 0.03).moved(y=radius * 0.5)
    first = dice.between(0, 180)
    return [hub, *(blade.turned("z", first + i * 360 / blades) for i in range(blades))]


def _propeller(plane, dice, paint, accent):
    length, radius = dice.between(2.4, 3.2), dice.between(0.2, 0.3)
    plane.add("body", _fuselage(_PROPELLER, radius, length), color=paint)
    span, root = length * dice.between(0.5, 0.7), length * dice.between(0.15, 0.22)
    high = dice.chance(0.5)
    wing = _wing(root, root * dice.between(0.5, 1.0), span, sweep=0.05, rise=span * dice.between(0, 0.1))
    y, z = (radius * 1.5 if high else -radius * 0.6), -length * 0.16
    plane.add_pair("wing", wing.moved(y=y, z=z), color=accent)
    _tail(plane, dice, length, radius, paint, high=False)
    if dice.chance(0.35):
        pod = _nacelle(dice, radius * 0.5, length * 0.2).moved(span * 0.35, y, z - root * 0.4)
        props = [p.moved(span * 0.35, y, z - root * 0.75) for p in _propeller_disc(dice, radius * 1.2)]
        plane.add_pair("engine", pod, *props, color=palette.dark(dice))
    else:
        nose = _propeller_disc(dice, radius * dice.between(1.6, 2.2))
        plane.add("engine", *(p.moved(z=-length * 0.52) for p in nose), color=palette.dark(dice))
    for side in (-1, 1):
        gear = rod((side * radius, 0, z), (side * radius * 1.4, -radius * 2, z), 0.025)
        wheel = cylinder(0.1, 0.06).turned("z", 90).moved(side * radius * 1.4, -radius * 2, z)
        plane.add("body", gear, wheel, color=palette.dark(dice))


def _glider(plane, dice, paint, accent):
    length, radius = dice.between(2.2, 3.0), dice.between(0.14, 0.2)
    plane.add("body", _fuselage(_GLIDER, radius, length), color=paint)
    span, root = length * dice.between(0.8, 1.15), length * dice.between(0.09, 0.13)
    wing = _wing(root, root * dice.between(0.35, 0.6), span, sweep=0.04, rise=span * 0.06)
    plane.add_pair("wing", wing.moved(y=radius * 0.9, z=-length * 0.15), color=accent)
    _tail(plane, dice, length, radius * 0.9, paint, high=dice.chance(0.7), scale=0.9)


def _biplane(plane, dice, paint, accent):
    length, radius = dice.between(2.2, 2.8), dice.between(0.2, 0.28)
    plane.add("body", _fuselage(_PROPELLER, radius, length), color=paint)
    span, root = length * dice.between(0.45, 0.62), length * dice.between(0.16, 0.22)
    gap, stagger, z = radius * dice.between(3.2, 4.2), root * dice.between(-0.3, 0.1), -length * 0.2
    low, wing = -radius * 0.7, _wing(root, root * 0.9, span, sweep=0.02)
    plane.add_pair("wing", wing.moved(y=low, z=z), wing.moved(y=low + gap, z=z + stagger), color=accent)
    for share in (0.2, 0.75):
        strut = rod((share * span, low, z), (share * span, low + gap, z + stagger), 0.025)
        plane.add_pair("wing", strut, color=palette.wood(dice))
    nose = _propeller_disc(dice, radius * dice.between(1.8, 2.4))
    plane.add("engine", *(p.moved(z=-length * 0.52) for p in nose), color=palette.wood(dice))
    wheel = cylinder(0.14, 0.06).turned("z", 90).moved(radius, -radius * 2.2, z)
    leg = rod((radius * 0.5, -radius * 0.6, z), (radius, -radius * 2.2, z), 0.03)
    plane.add_pair("body", wheel, leg, color=palette.dark(dice))
    _tail(plane, dice, length, radius, accent, high=False)


def _fighter(plane, dice, paint, accent):
    length, radius = dice.between(2.6, 3.4), dice.between(0.17, 0.24)
    plane.add("body", _fuselage(_FIGHTER, radius, length), color=paint)
    span, root = length * dice.between(0.25, 0.36), length * dice.between(0.35, 0.5)
    sweep = root * dice.between(0.25, 0.5)
    wing = _wing(root, root * dice.between(0.1, 0.35), span, sweep=sweep, thickness=0.05)
    plane.add_pair("wing", wing.moved(x=radius * 0.6, z=length * 0.12), color=paint)
    canopy = ellipsoid(radius * 0.5, radius * 0.55, length * 0.1).moved(y=radius, z=-length * 0.18)
    plane.add("body", canopy, color=palette.dark(dice))
    for x in (0.55, -0.55) if dice.chance(0.5) else (0.0,):
        nozzle = cylinder(radius * 0.6, length * 0.14, top_radius=radius * 0.45).turned("x", 90)
        plane.add("engine", nozzle.moved(x * radius, z=length * 0.46), color=palette.dark(dice))
    chord = length * dice.between(0.13, 0.18)
    fin = _wing(chord, chord * 0.5, length * dice.between(0.12, 0.17), sweep=chord * 0.6, thickness=0.06)
    flat = _wing(chord, chord * 0.4, length * 0.16, sweep=chord * 0.6, thickness=0.06)
    twin = dice.chance(0.5)
    cant = fin.turned("z", 75).moved(radius * 0.9, radius * 0.4, length * 0.36)
    if twin:
        plane.add_pair("tail", cant, color=accent)
    else:
        plane.add("tail", fin.turned("z", 90).moved(y=radius * 0.4, z=length * 0.36), color=accent)
    plane.add_pair("tail", flat.moved(radius * 0.8, z=length * 0.42), color=paint)


_BUILDERS = {
    "airliner": _airliner,
    "propeller": _propeller,
    "glider": _glider,
    "biplane": _biplane,
    "fighter": _fighter,
}
