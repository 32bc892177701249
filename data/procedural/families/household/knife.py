"""Kitchen knives, daggers, cleavers, sabres, table and folding knives; along z, tip to -z, edge down."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder, ellipsoid, lathe, loft
from data.procedural.sweeps import ring

# spine and edge by distance from the heel (0) to the tip (1), in blade widths
_BLADES = {
    "chef": ((0, 0.5, -0.5), (0.3, 0.5, -0.5), (0.65, 0.42, -0.38), (0.88, 0.2, -0.1), (1, 0.0, -0.02)),
    "dagger": ((0, 0.5, -0.5), (0.5, 0.48, -0.48), (0.8, 0.35, -0.35), (1, 0.02, -0.02)),
    "cleaver": ((0, 0.5, -0.5), (0.4, 0.5, -0.52), (0.9, 0.48, -0.52), (1, 0.42, -0.46)),
    "sabre": ((0, 0.4, -0.4), (0.35, 0.6, -0.2), (0.7, 1.2, 0.45), (1, 2.3, 2.2)),
    "table": ((0, 0.35, -0.35), (0.25, 0.5, -0.5), (0.7, 0.5, -0.55), (0.92, 0.42, -0.45), (1, 0.1, -0.1)),
    "bowie": ((0, 0.5, -0.5), (0.55, 0.5, -0.52), (0.7, 0.22, -0.48), (0.9, 0.18, -0.22), (1, 0.25, 0.22)),
    "kris": (
        (0, 0.5, -0.5),
        (0.2, 0.75, -0.2),
        (0.4, 0.25, -0.65),
        (0.6, 0.65, -0.1),
        (0.8, 0.2, -0.35),
        (1, 0.1, 0.08),
    ),
}


def build_knife(dice: Dice) -> Assembly:
    knife = Assembly("knife")
    kind = dice.pick(tuple(_BLADES), (4, 3, 2, 2, 2, 2, 1))
    length = dice.between(0.45, 1.0)
    width = length * {"cleaver": dice.between(0.38, 0.55), "sabre": dice.between(0.07, 0.11)}.get(
        kind, dice.between(0.1, 0.22)
    )
    thickness = dice.between(0.012, 0.03)
    blade = _blade(_BLADES[kind], length, width, thickness)
    if dice.chance(0.2) and kind not in ("cleaver", "sabre"):
        blade = blade.turned("x", dice.between(-80, -20))  # a folding knife, half open
    knife.add("blade", blade, color=palette.metal(dice))
    if kind == "dagger" and dice.chance(0.5):
        fuller = box(thickness * 1.3, width * 0.15, length * 0.6).moved(z=-length * 0.4)
        knife.add("blade", fuller, color=palette.metal(dice))
    _add_handle(knife, dice, kind, length, width)
    return knife


def _blade(table, length, width, thickness) -> Solid:
    """Loft of diamond sections, thin at the edge."""
    rings = []
    for t, spine, edge in smooth(table, num_points=18):
        top, bottom = spine * width, edge * width
        middle = (2 * top + bottom) / 3
        thick = thickness * (1 - 0.7 * t)
        flat = [(0.3 * thick, top), (-0.3 * thick, top), (-thick / 2, middle), (0, bottom), (thick / 2, middle)]
        rings.append([(x, y, -t * length) for x, y in flat])
    return loft(np.array(rings))


def _add_handle(knife, dice, kind, length, width):
    long = dice.between(0.28, 0.5) * (0.7 if kind == "sabre" else 1.0)
    grip = dice.between(0.035, 0.055)
    bend, swell = dice.between(-0.06, 0.08), dice.between(0.8, 1.35)
    rings = []
    for t, share in ((0, 0.8), (0.12, 1.0), (0.5, swell), (0.85, 1.0), (1, dice.between(0.6, 1.4))):
        angle = np.arange(14) * 2 * np.pi / 14
        x, y = 0.6 * grip * share * np.cos(angle), grip * share * np.sin(angle) - bend * t**2
        rings.append(np.stack([x, y, np.full(14, t * long)], axis=-1))
    wood = dice.pick((palette.wood, palette.dark, palette.paint, palette.metal))(dice)
    knife.add("handle", loft(np.stack(rings)), color=wood)
    guard = dice.pick(("none", "cross", "disc", "bow"), (4, 2, 1, 2 if kind == "sabre" else 0.3))
    brass = palette.metal(dice)
    if guard == "cross":
        knife.add("handle", box(grip * 0.9, max(width, grip) * dice.between(1.5, 2.4), 0.035), color=brass)
    elif guard == "disc":
        knife.add("handle", cylinder(max(width * 0.7, grip * 1.6), 0.025).turned("x", 90), color=brass)
    elif guard == "bow":
        bow = ring(long * 0.5, 0.012, axis="x").scaled(y=0.35)
        knife.add("handle", bow.moved(y=-grip * 0.4 - bend * 0.4, z=long * 0.5), color=brass)
    if dice.chance(0.35):
        pommel = ellipsoid(grip * 0.9, grip * 1.2, grip * 0.8).moved(y=-bend, z=long)
        knife.add("handle", pommel, color=brass)
    if dice.chance(0.4):
        for z in np.linspace(0.2, 0.8, 3) * long:
            y = -bend * (z / long) ** 2
            rivet = lathe(
                [
                    (0, -0.65 * grip * swell),
                    (0.01, -0.65 * grip * swell),
                    (0.01, 0.65 * grip * swell),
                    (0, 0.65 * grip * swell),
                ],
                segments=8,
            )
            knife.add("handle", rivet.turned("z", 90).moved(y=y, z=z), color=brass)
