"""Earphones: over-ear headphones, in-ear pairs on a cable, neckband and single-ear headsets."""

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import arc, smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, ellipsoid, lathe
from data.procedural.sweeps import ring, rod, tube


def build_earphone(dice: Dice) -> Assembly:
    earphone = Assembly("earphone")
    shell = dice.pick((palette.dark, palette.paint, palette.light, palette.metal))(dice)
    accent = dice.pick((palette.dark, palette.metal, palette.paint))(dice)
    _BUILDERS[dice.pick(tuple(_BUILDERS), (5, 2, 1, 1))](earphone, dice, shell, accent)
    return earphone


def _cup(dice, radius) -> Solid:
    """One ear cup, its axis along x, the cushion towards -x."""
    deep = radius * dice.between(0.5, 0.9)
    profile = [
        (0, 0),
        (radius * 0.6, 0.0),
        (radius, deep * 0.25),
        (radius, deep * 0.6),
        (radius * 0.7, deep),
        (0, deep),
    ]
    return lathe(profile, segments=20).turned("z", -90).scaled(z=dice.between(0.75, 1.0))


def _headphones(earphone, dice, shell, accent):
    radius, band = dice.between(0.3, 0.45), dice.between(0.75, 0.95)
    tall = dice.between(1.0, 1.35)
    cup = _cup(dice, radius)
    pad = ring(radius * 0.7, radius * dice.between(0.22, 0.32)).moved(-radius * 0.05)
    earphone.add_pair("earcup", cup.moved(band - 0.05), color=shell)
    earphone.add_pair("earcup", pad.moved(band - 0.05), color=palette.dark(dice))
    path = arc(1.0, 0, 180, num_points=28) * (band, tall, 1)
    wide, flat = dice.between(0.05, 0.16), dice.between(0.2, 0.8)
    earphone.add("headband", tube(path, wide, flat=flat, wide=(0, 0, 1)), color=accent)
    if dice.chance(0.5):
        cushion = arc(0.97, 40, 140, num_points=16) * (band, tall, 1)
        earphone.add("headband", tube(cushion, wide * 1.3, flat=0.5, wide=(0, 0, 1)), color=palette.dark(dice))
    if dice.chance(0.4):
        yoke = ring(radius * 1.08, 0.03).moved(band + radius * 0.2)
        earphone.add_pair("headband", yoke, color=palette.metal(dice))
    if dice.chance(0.55):
        _hanging_cable(earphone, dice, (band + 0.05, -radius), color=palette.dark(dice))
    if dice.chance(0.2):
        _boom(earphone, dice, band, radius)


def _hanging_cable(earphone, dice, start, color):
    x, y = start
    swing = dice.between(-0.5, 0.5)
    corners = [
        (x, y, 0),
        (x, y - 0.3, 0.1),
        (x - 0.4 + swing, y - 0.8, swing),
        (x - 0.8, y - dice.between(0.9, 1.6), 0.2),
    ]
    path = smooth(corners, num_points=24)
    plug = rod(tuple(path[-1]), tuple(path[-1] - (0.0, 0.18, 0.0)), 0.045)
    earphone.add("cable", tube(path, dice.between(0.02, 0.035)), plug, color=color)


def _boom(earphone, dice, band, radius):
    corners = [(-band, 0, 0), (-band * 0.95, -radius * 0.8, -0.3), (-band * 0.4, -radius * 1.6, -0.75)]
    path = smooth(corners, num_points=14)
    tip = ellipsoid(0.09, 0.06, 0.06).moved(*path[-1])
    earphone.add("earcup", tube(path, 0.025), tip, color=palette.dark(dice))


def _in_ear(earphone, dice, shell, accent):
    """Two buds whose cables meet and run to a plug; the pair may keep a thin neck loop as headband."""
    apart, fork, tail = dice.between(0.35, 0.9), dice.between(0.6, 1.2), dice.between(0.6, 1.3)
    size = dice.between(0.1, 0.16)
    bud = ellipsoid(size, size, size * 0.8)
    tip = lathe([(0, 0), (size * 0.5, 0), (size * 0.75, size * 0.3), (size * 0.4, size), (0, size)], segments=14)
    stem = rod((0, 0, 0), (0, -size * 2.2, size * 0.2), size * 0.3)
    for piece, color in ((bud, shell), (tip.turned("z", 60).moved(-size * 0.6, size * 0.2), accent), (stem, shell)):
        earphone.add_pair("earcup", piece.moved(apart), color=color)
    width = dice.between(0.02, 0.032)
    sway = dice.between(-0.25, 0.25)
    for side in (-1, 1):
        corners = [
            (side * apart, -size * 2, size * 0.2),
            (side * apart * 1.05, -size * 2 - fork * 0.4, sway),
            (0, -fork - size * 2, 0),
        ]
        earphone.add("cable", tube(smooth(corners, num_points=16), width), color=accent)
    bottom = -fork - size * 2
    corners = [(0, bottom, 0), (sway, bottom - tail * 0.5, -sway), (0, bottom - tail, 0)]
    earphone.add("cable", tube(smooth(corners, num_points=14), width * 1.2), color=accent)
    earphone.add("cable", rod((0, bottom - tail, 0), (0, bottom - tail - 0.15, 0), width * 2), color=palette.dark(dice))
    earphone.add("cable", box(0.06, 0.12, 0.04).moved(y=bottom), color=palette.dark(dice))


def _neckband(earphone, dice, shell, accent):
    """A stiff band behind the head with hooks over the ears."""
    radius = dice.between(0.7, 0.9)
    path = arc(radius, -20, 200, plane="xz", num_points=28)
    earphone.add("headband", tube(path, dice.between(0.03, 0.06), flat=0.5, wide=(0, 1, 0)), color=accent)
    for side in (-1, 1):
        end = path[0] if side > 0 else path[-1]
        hook = arc(0.18, 0, 200, plane="yz", num_points=14) + end + (0, -0.05, -0.1)
        earphone.add("headband", tube(hook, 0.03), color=accent)
        size = dice.between(0.13, 0.2)
        cup = ellipsoid(size * 0.5, size, size).moved(end[0] - side * 0.08, end[1] - 0.05, end[2] - 0.2)
        earphone.add("earcup", cup, color=shell)
    if dice.chance(0.5):
        _hanging_cable(earphone, dice, (radius * 0.9, -0.1), color=accent)


def _single(earphone, dice, shell, accent):
    """An operator's headset: one cup, a rest on the other side, a microphone boom."""
    radius, band = dice.between(0.28, 0.38), dice.between(0.75, 0.9)
    earphone.add("earcup", _cup(dice, radius).moved(band - 0.05).mirrored(), color=shell)
    earphone.add("earcup", ring(radius * 0.7, radius * 0.25).moved(-band), color=palette.dark(dice))
    _boom(earphone, dice, band, radius)
    path = arc(1.0, 15, 180, num_points=26) * (band, 1.15, 1)
    earphone.add("headband", tube(path, dice.between(0.04, 0.09), flat=0.4, wide=(0, 0, 1)), color=accent)
    earphone.add("headband", ellipsoid(0.06, 0.2, 0.12).moved(band * 0.95, 0.3), color=palette.dark(dice))
    _hanging_cable(earphone, dice, (-band, -radius), color=accent)


_BUILDERS = {
    "headphones": _headphones,
    "in_ear": _in_ear,
    "neckband": _neckband,
    "single": _single,
}
