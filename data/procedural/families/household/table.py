"""Tables: tops of several outlines on legs, a pedestal, a trestle, panels or crossed legs."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import rounded_outline, smooth
from data.procedural.dice import Dice
from data.procedural.solids import box, cylinder, lathe, slab
from data.procedural.sweeps import rod, tube


def build_table(dice: Dice) -> Assembly:
    table = Assembly("table")
    kind = dice.pick(("dining", "coffee", "desk", "side"), (4, 3, 2, 2))
    width, depth, height = {
        "dining": (dice.between(1.0, 2.2), dice.between(0.7, 1.1), dice.between(0.68, 0.8)),
        "coffee": (dice.between(0.8, 1.4), dice.between(0.5, 0.9), dice.between(0.3, 0.48)),
        "desk": (dice.between(1.1, 1.8), dice.between(0.5, 0.8), dice.between(0.7, 0.8)),
        "side": (dice.between(0.4, 0.7), dice.between(0.4, 0.7), dice.between(0.5, 1.0)),
    }[kind]
    base = dice.pick(("legs", "pedestal", "trestle", "panels", "crossed"), (5, 3, 2, 2, 1))
    if base == "pedestal":
        depth = width = min(width, 1.3)
    power = 2 if base == "pedestal" and dice.chance(0.7) else dice.pick((2, 6, 40, 40))
    board = dice.pick((palette.wood, palette.wood, palette.light, palette.paint, palette.dark))(dice)
    frame = board if dice.chance(0.5) else palette.mixed(dice)
    thickness = dice.between(0.02, 0.08)
    top = slab(rounded_outline(width, depth, power=power, num_points=40), thickness, bevel=0.02)
    table.add("top", top.moved(y=height - thickness), color=board)
    inset = 0.72 if power == 2 else 0.94
    _BASES[base](table, dice, width * inset, depth * inset, height - thickness, frame)
    if kind == "desk" and base in ("legs", "panels"):
        _add_drawers(table, dice, width * inset, depth * inset, height - thickness, frame)
    return table


def _legs(table, dice, width, depth, height, color):
    thick = dice.between(0.02, 0.05)
    x, z, splay = width / 2 - thick, depth / 2 - thick, dice.pick((0, 0, 0.06))
    curve = dice.between(-0.06, 0.06) if dice.chance(0.3) else 0.0
    for sx in (-1, 1):
        for sz in (-1, 1):
            middle = (sx * (x + curve), height * 0.5, sz * (z + curve))
            corners = [(sx * (x + splay), 0, sz * (z + splay)), middle, (sx * x, height, sz * z)]
            path = smooth(corners, num_points=7)
            radius = np.linspace(thick * dice.between(0.5, 1.0), thick, 7)
            table.add("leg", tube(path, radius, segments=dice.pick((4, 10))), color=color)
    if dice.chance(0.55):
        _add_apron(table, dice, x, z, height, color)
    if dice.chance(0.4):
        level = height * dice.between(0.15, 0.4)
        table.add("support", box(2 * x, 0.025, 2 * z).moved(y=level), color=color)


def _add_apron(table, dice, x, z, height, color):
    tall = dice.between(0.05, 0.12)
    for side in (-1, 1):
        table.add("support", box(2 * x, tall, 0.02).moved(y=height - tall / 2, z=side * z), color=color)
        table.add("support", box(0.02, tall, 2 * z).moved(side * x, height - tall / 2), color=color)


def _pedestal(table, dice, width, depth, height, color):
    foot, waist = width * dice.between(0.25, 0.42), dice.between(0.03, 0.08)
    if dice.chance(0.5):
        profile = smooth([(foot, 0.0), (foot, 0.03), (waist * 1.6, 0.12), (waist, height * 0.5)], num_points=12)
        profile = [(0, 0), *profile, (waist * 1.4, height * 0.85), (foot * 0.5, height), (0, height)]
        table.add("leg", lathe(profile), color=color)
        return
    table.add("leg", cylinder(waist, height), color=color)
    for angle in np.arange(4 if dice.chance(0.5) else 3) * (90 if dice.chance(0.5) else 120) + 45:
        path = smooth([(0, 0.3 * height, 0), (0.5 * foot, 0.16 * height, 0), (foot, 0.02, 0)], num_points=8)
        table.add("leg", tube(path, 0.025).turned("y", angle), color=color)
    if dice.chance(0.6):
        disc = cylinder(foot, 0.03).moved(y=height - 0.03)
        table.add("support", disc, color=color)


def _trestle(table, dice, width, depth, height, color):
    x, thick = width * dice.between(0.3, 0.42), dice.between(0.02, 0.04)
    slant = depth * dice.between(0.0, 0.2)
    for side in (-1, 1):
        for sz in (-1, 1):
            post = rod((side * x, 0, sz * depth * 0.42), (side * x, height, sz * (depth * 0.42 - slant)), thick)
            table.add("leg", post, color=color)
        table.add("leg", box(2 * thick, 0.05, depth * 0.84).moved(side * x, 0.03), color=color)
        table.add("support", box(2 * thick, 0.05, depth * 0.8).moved(side * x, height - 0.03), color=color)
    beam = box(2 * x, dice.between(0.04, 0.1), 0.04).moved(y=height * dice.between(0.2, 0.6))
    table.add("support", beam, color=color)


def _panels(table, dice, width, depth, height, color):
    thick = dice.between(0.02, 0.06)
    for side in (-1, 1):
        panel = box(thick, height, depth * 0.95).moved(side * (width / 2 - thick), height / 2)
        table.add("leg", panel, color=color)
    if dice.chance(0.7):
        tall = height * dice.between(0.3, 0.8)
        board = box(width * 0.96, tall, 0.02).moved(y=height - tall / 2, z=depth * dice.between(0, 0.4))
        table.add("support", board, color=color)


def _crossed(table, dice, width, depth, height, color):
    x, z, r = width * 0.4, depth * 0.42, dice.between(0.015, 0.035)
    for side in (-1, 1):
        for sign in (-1, 1):
            leg = rod((side * x, 0, sign * z), (side * x, height, -sign * z), r)
            table.add("leg", leg, color=color)
    table.add("support", rod((-x, height / 2, 0), (x, height / 2, 0), r), color=color)


_BASES = {
    "legs": _legs,
    "pedestal": _pedestal,
    "trestle": _trestle,
    "panels": _panels,
    "crossed": _crossed,
}


def _add_drawers(table, dice, width, depth, height, color):
    wide, tall = width * dice.between(0.2, 0.32), height * dice.between(0.3, 0.85)
    sides = dice.pick(((-1,), (1,), (-1, 1)))
    for side in sides:
        x = side * (width / 2 - wide / 2)
        table.add("support", box(wide, tall, depth * 0.9).moved(x, height - tall / 2), color=color)
        for i in range(3):
            front = box(wide * 0.9, tall * 0.27, 0.02)
            y = height - tall * (i + 0.5) / 3
            table.add("support", front.moved(x, y, -depth * 0.46), color=palette.wood(dice))
