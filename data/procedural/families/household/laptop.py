"""Laptops: a keyboard half and a hinged screen, from nearly shut to folded flat. The user sits at -z."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import rounded_outline
from data.procedural.dice import Dice
from data.procedural.solids import box, cylinder, slab


def build_laptop(dice: Dice) -> Assembly:
    laptop = Assembly("laptop")
    width, depth = dice.between(0.26, 0.4), dice.between(0.18, 0.28)
    thick, lid = dice.between(0.008, 0.035), dice.between(0.005, 0.016)
    opening = dice.pick((dice.between(80, 130), dice.between(45, 80), dice.between(130, 175)), (5, 2, 1))
    shell = dice.pick((palette.metal, palette.dark, palette.light, palette.paint))(dice)
    power = dice.pick((6, 12, 40))
    _add_keyboard(laptop, dice, width, depth, thick, power, shell)
    _add_screen(laptop, dice, width, depth, thick, lid, opening, power, shell)
    return laptop


def _add_keyboard(laptop, dice, width, depth, thick, power, shell):
    outline = rounded_outline(width, depth, power=power, num_points=36)
    laptop.add("keyboard", slab(outline, thick, bevel=dice.between(0, 0.02)), color=shell)
    key_color = palette.dark(dice) if dice.chance(0.7) else palette.light(dice)
    rows, columns = dice.count(4, 5), dice.count(9, 12)
    pitch_x, pitch_z = width * 0.88 / columns, depth * 0.5 / rows
    raised = dice.between(0.002, 0.004)
    for row in range(rows):
        for column in range(columns):
            x = (column - (columns - 1) / 2) * pitch_x
            z = depth * 0.4 - row * pitch_z
            key = box(pitch_x * 0.8, raised, pitch_z * 0.78).moved(x, thick + raised / 2, z)
            laptop.add("keyboard", key, color=key_color)
    pad = box(width * dice.between(0.25, 0.4), 0.002, depth * 0.24).moved(y=thick, z=-depth * 0.32)
    laptop.add("keyboard", pad, color=palette.metal(dice))
    if dice.chance(0.3):
        foot = box(width * 0.8, 0.01, 0.02).moved(y=-0.005, z=depth * 0.4)
        laptop.add("keyboard", foot, color=palette.dark(dice))


def _add_screen(laptop, dice, width, depth, thick, lid, opening, power, shell):
    tall = depth * dice.between(0.9, 1.08)
    outline = rounded_outline(width, tall, power=power, num_points=36)
    panel = slab(outline, lid, bevel=0.01).moved(z=-tall / 2)
    glass = box(width * 0.92, 0.002, tall * 0.86).moved(y=-0.001, z=-tall / 2)
    hinge = cylinder(dice.between(0.006, 0.012), width * 0.7).turned("z", 90).moved(width * 0.35)
    place = {"y": thick + 0.004, "z": depth / 2 - 0.004}
    turn = opening if opening < 180 else 180
    laptop.add("screen", panel.turned("x", turn).moved(**place), color=shell)
    glow = dice.pick(((0.1, 0.12, 0.16), palette.paint(dice), (0.3, 0.5, 0.8)))
    laptop.add("screen", glass.turned("x", turn).moved(**place), color=glow)
    laptop.add("screen", hinge.moved(**place), color=palette.dark(dice))
    if dice.chance(0.4):
        z = -tall * np.array([0.3, 0.5, 0.65])
        for share, wide in zip(z, (0.5, 0.3, 0.6)):
            bar = box(width * wide, 0.001, tall * 0.08).moved(y=-0.0025, z=share)
            laptop.add("screen", bar.turned("x", turn).moved(**place), color=palette.light(dice))
