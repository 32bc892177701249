"""Chairs: seat and back of many forms on four legs, a swivel star, a sled, a cantilever or a block."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import arc, rounded_outline, smooth
from data.procedural.dice import Dice
from data.procedural.solids import box, cylinder, ellipsoid, slab, tapered_box
from data.procedural.sweeps import rod, sheet, tube


def build_chair(dice: Dice) -> Assembly:
    chair = Assembly("chair")
    width, depth = dice.between(0.4, 0.62), dice.between(0.4, 0.55)
    height = dice.between(0.36, 0.52)
    base = dice.pick(("straight", "splayed", "swivel", "sled", "cantilever", "block"), (4, 3, 3, 2, 1, 2))
    if base == "block":
        width, height = width * dice.between(1.2, 1.9), height * 0.85
    body = dice.pick((palette.wood, palette.metal, palette.dark, palette.light))(dice)
    cushion = dice.pick((palette.fabric, palette.paint, palette.wood, palette.dark))(dice)
    thickness = 0.2 if base == "block" else dice.between(0.025, 0.09)
    outline = rounded_outline(width, depth, power=dice.pick((2.5, 4, 8, 20)), num_points=32)
    chair.add("seat", slab(outline, thickness, bevel=0.04).moved(y=height - thickness), color=cushion)
    _BASES[base](chair, dice, width, depth, height - thickness, body)
    _add_back(chair, dice, base, width, depth, height, cushion, body)
    if base == "block" or dice.chance(0.45):
        _add_arms(chair, dice, base, width, depth, height, body, cushion)
    return chair


def _legs(chair: Assembly, dice: Dice, width, depth, height, color, splay: float) -> None:
    thick, taper = dice.between(0.014, 0.032), dice.between(0.5, 1.0)
    segments = dice.pick((4, 12))
    x, z = width / 2 - thick * 1.5, depth / 2 - thick * 1.5
    for sx in (-1, 1):
        for sz in (-1, 1):
            foot = (sx * (x + splay), 0.0, sz * (z + splay))
            top = (sx * x, height, sz * z)
            chair.add("leg", rod(foot, top, (thick * taper, thick), segments=segments), color=color)
    if dice.chance(0.4):
        level = height * dice.between(0.25, 0.6)
        reach_x, reach_z = x + splay * (1 - level / height), z + splay * (1 - level / height)
        for side in (-1, 1):
            bar = rod((side * reach_x, level, -reach_z), (side * reach_x, level, reach_z), thick * 0.6)
            chair.add("leg", bar, color=color)
        chair.add("leg", rod((-reach_x, level, 0), (reach_x, level, 0), thick * 0.6), color=color)


def _straight(chair, dice, width, depth, height, color):
    _legs(chair, dice, width, depth, height, color, splay=0.0)


def _splayed(chair, dice, width, depth, height, color):
    _legs(chair, dice, width * 0.8, depth * 0.8, height, color, splay=dice.between(0.04, 0.1))


def _swivel(chair, dice, width, depth, height, color):
    arms, reach = dice.count(4, 6), dice.between(0.22, 0.32)
    chair.add("leg", cylinder(dice.between(0.02, 0.04), height - 0.06).moved(y=0.06), color=color)
    if dice.chance(0.3):
        disc = cylinder(reach, 0.03, top_radius=reach * dice.between(0.2, 0.9), segments=28)
        chair.add("leg", disc, color=color)
        return
    for angle in np.arange(arms) * 360 / arms:
        arm = rod((0, 0.1, 0), (reach, 0.06, 0), (0.025, 0.015)).turned("y", angle)
        wheel = ellipsoid(0.025, 0.03, 0.015).moved(reach, 0.03).turned("y", angle)
        chair.add("leg", arm, wheel, color=color)


def _sled(chair, dice, width, depth, height, color):
    x, z, r = width / 2 - 0.02, depth / 2 - 0.02, dice.between(0.012, 0.02)
    path = np.array([[x, height, -z * 0.8], [x, r, -z], [x, r, z], [x, height, z * 0.8]])
    chair.add_pair("leg", tube(path, r), color=color)
    chair.add("leg", rod((-x, r, z), (x, r, z), r), rod((-x, height, 0), (x, height, 0), r), color=color)


def _cantilever(chair, dice, width, depth, height, color):
    x, z, r = width / 2 - 0.015, depth / 2, dice.between(0.012, 0.02)
    corners = [(x, height, z), (x, height, -z * 0.8), (x, height * 0.8, -z), (x, 0.1, -z)]
    path = smooth(corners + [(x, r, -z * 0.8), (x, r, z)], num_points=36)
    chair.add_pair("leg", tube(path, r), color=color)
    chair.add("leg", rod((-x, r, z), (x, r, z), r), color=color)


def _block(chair, dice, width, depth, height, color):
    if dice.chance(0.5):
        chair.add("leg", tapered_box((width * 0.9, depth * 0.9), (width, depth), height), color=color)
    else:
        _legs(chair, dice, width, depth, height, color, splay=0.0)


_BASES = {
    "straight": _straight,
    "splayed": _splayed,
    "swivel": _swivel,
    "sled": _sled,
    "cantilever": _cantilever,
    "block": _block,
}


def _add_back(chair, dice, base, width, depth, height, cushion, frame):
    tall = dice.between(0.3, 0.65) * (0.8 if base == "block" else 1.0)
    lean = dice.between(0, 18)
    kind = "solid" if base == "block" else dice.pick(("solid", "slats", "ladder", "curved", "round"))
    pieces, color = _BACKS[kind](dice, width * dice.between(0.8, 1.0), tall), cushion
    if kind in ("slats", "ladder"):
        color = frame
    if base == "swivel" and kind == "solid" and dice.chance(0.5):
        pieces.append(box(0.05, 0.2, 0.02).moved(y=-0.02, z=0.04))
    z = depth / 2 - 0.03
    for piece in pieces:
        chair.add("back", piece.turned("x", lean).moved(y=height - 0.02, z=z), color=color)


def _solid_back(dice, width, tall):
    outline = rounded_outline(width, tall, power=dice.pick((3, 6, 20)), num_points=32)
    panel = slab(outline, dice.between(0.02, 0.1), bevel=0.05).turned("x", 90)
    gap = dice.pick((0.0, 0.0, 0.12))
    panel = panel.moved(y=tall / 2 + gap)
    posts = [box(0.03, gap + 0.05, 0.02).moved(s * width * 0.3, gap / 2) for s in (-1, 1)] if gap else []
    return [panel, *posts]


def _frame(dice, width, tall):
    r = dice.between(0.012, 0.025)
    posts = [rod((s * (width / 2 - r), 0, 0), (s * (width / 2 - r), tall, 0), r) for s in (-1, 1)]
    return r, posts


def _slats(dice, width, tall):
    r, pieces = _frame(dice, width, tall)
    for x in np.linspace(-0.5, 0.5, dice.count(4, 8))[1:-1] * width:
        pieces.append(rod((x, 0, 0), (x, tall, 0), r * 0.6))
    return [*pieces, box(width, dice.between(0.04, 0.1), r * 2).moved(y=tall)]


def _ladder(dice, width, tall):
    r, pieces = _frame(dice, width, tall)
    for y in np.linspace(0.3, 1.0, dice.count(2, 5)) * tall:
        pieces.append(box(width, dice.between(0.03, 0.08), r).moved(y=y - 0.03))
    return pieces


def _curved(dice, width, tall):
    """A shell bent round the sitter."""
    half = dice.between(30, 80)
    radius = width / 2 / np.sin(np.radians(half))
    row = arc(radius, 90 - half, 90 + half, plane="xz") - (0, 0, radius)
    start = dice.pick((0.0, 0.0, 0.4))
    levels = np.linspace(start, 1.0, 6)
    grid = np.stack([row + (0, level * tall, 0) for level in levels])
    return [sheet(grid, dice.between(0.015, 0.05)), rod((0, 0, 0), (0, tall * 0.6, 0), 0.02)]


def _round(dice, width, tall):
    """An oval frame, filled or with spokes."""
    angle = np.linspace(0, 2 * np.pi, 25)
    path = np.stack([width / 2 * np.sin(angle), tall / 2 * (1 - np.cos(angle)), 0 * angle], axis=-1)
    oval = rounded_outline(width, tall, power=2, num_points=24)
    if dice.chance(0.5):
        return [slab(oval, 0.03).turned("x", 90).moved(y=tall / 2)]
    spokes = [rod((0.1 * x, 0, 0), (x, tall * 0.85, 0), 0.008) for x in (-0.14, -0.07, 0, 0.07, 0.14)]
    return [tube(path, 0.018), *spokes]


_BACKS = {
    "solid": _solid_back,
    "slats": _slats,
    "ladder": _ladder,
    "curved": _curved,
    "round": _round,
}


def _add_arms(chair, dice, base, width, depth, height, frame, cushion):
    rise = dice.between(0.16, 0.26)
    if base == "block":
        thick = dice.between(0.1, 0.2)
        outline = rounded_outline(thick, depth, power=6, num_points=20)
        arm = slab(outline, height * 0.7 + rise, bevel=0.08)
        chair.add_pair("arm", arm.moved(width / 2, height * 0.2), color=cushion)
        return
    x, r = width / 2 + dice.between(0.0, 0.04), dice.between(0.012, 0.022)
    front, back = -depth * dice.between(0.1, 0.4), depth / 2
    post = rod((x - 0.02, height - 0.03, front), (x, height + rise, front), r)
    if dice.chance(0.5):
        rest = box(dice.between(0.04, 0.08), 0.03, back - front + 0.04)
        rest = rest.moved(x, height + rise, (front + back) / 2)
    else:
        rest = rod((x, height + rise, front), (x * 0.95, height + rise, back), r)
    chair.add_pair("arm", post, rest, color=frame)
