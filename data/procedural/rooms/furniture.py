"""Furniture that has no family of its own: sofas, beds, shelves with books, cabinets. Metres, y up, front -z."""

import numpy as np

from data.procedural import palette
from data.procedural.curves import rounded_outline
from data.procedural.dice import Dice
from data.procedural.programs.pieces import Piece, Pieces, moved
from data.procedural.solids import box, cylinder, slab
from data.procedural.sweeps import rod


def sofa(dice: Dice) -> Pieces:
    """A body on short feet with arms, a back, one to three seat cushions and maybe pillows."""
    seats = dice.count(2, 3)
    width, depth = seats * dice.between(0.55, 0.75) + 0.3, dice.between(0.75, 0.95)
    seat, tall, arm = dice.between(0.38, 0.46), dice.between(0.7, 0.95), dice.between(0.1, 0.22)
    cloth = dice.pick((palette.fabric, palette.fabric, palette.dark, palette.paint, palette.light))(dice)
    feet = dice.between(0.04, 0.12)
    pieces = [_block(width, seat - 0.12 - feet, depth, cloth, y=feet)]
    pieces.append(_block(width, tall - feet, 0.2, cloth, y=feet, z=depth / 2 - 0.1))
    for side in (-1, 1):
        x = side * (width - arm) / 2
        pieces.append(_block(arm, seat + dice.between(0.12, 0.2) - feet, depth, cloth, x=x, y=feet))
        pieces += [
            Piece(cylinder(0.02, feet).moved(side * (width / 2 - 0.08), 0, z * (depth / 2 - 0.08)), palette.dark(dice))
            for z in (-1, 1)
        ]
    wide = (width - 2 * arm) / seats
    cushion = cloth if dice.chance(0.6) else palette.fabric(dice)
    for number in range(seats):
        x = (number - (seats - 1) / 2) * wide
        pieces.append(_block(wide - 0.01, 0.14, depth - 0.22, cushion, x=x, y=seat - 0.13, z=-0.1))
        pieces.append(_block(wide - 0.02, tall - seat - 0.03, 0.14, cushion, x=x, y=seat, z=depth / 2 - 0.25))
    for side in (-1, 1):
        if dice.chance(0.5):
            pillow = Piece(slab(rounded_outline(0.4, 0.4, power=4), 0.12, bevel=0.15), palette.paint(dice))
            leaning = pillow.solid.turned("x", 70).moved(side * (width / 2 - arm - 0.24), seat + 0.2, depth / 2 - 0.42)
            pieces.append(Piece(leaning, pillow.color))
    return pieces


def bed(dice: Dice) -> Pieces:
    """A frame with a mattress, a head board, a blanket and pillows; the head lies at the back."""
    width, depth = dice.pick((0.95, 1.25, 1.45, 1.65)), dice.between(1.95, 2.1)
    low, thick = dice.between(0.18, 0.34), dice.between(0.16, 0.24)
    wood = dice.pick((palette.wood, palette.wood, palette.light, palette.dark))(dice)
    sheet, blanket = palette.light(dice), dice.pick((palette.fabric, palette.paint))(dice)
    pieces = [_block(width, low - 0.06, depth, wood, y=0.06)]
    pieces += [
        Piece(cylinder(0.03, 0.07).moved(x * (width / 2 - 0.06), 0, z * (depth / 2 - 0.06)), wood)
        for x in (-1, 1)
        for z in (-1, 1)
    ]
    pieces.append(Piece(box(width, dice.between(0.75, 1.2), 0.05), wood))
    pieces[-1] = Piece(pieces[-1].solid.moved(y=-pieces[-1].solid.vertices[:, 1].min(), z=depth / 2 + 0.025), wood)
    pieces.append(_block(width - 0.04, thick, depth - 0.02, sheet, y=low))
    long = depth * dice.between(0.55, 0.75)
    pieces.append(_block(width + 0.02, thick * 0.75, long, blanket, y=low + thick * 0.35, z=(long - depth) / 2 - 0.01))
    for x in (-0.25, 0.25) if width > 1.2 else (0.0,):
        pillow = slab(rounded_outline(min(0.65, width * 0.45), 0.38, power=4), 0.13, bevel=0.12)
        pieces.append(Piece(pillow.moved(x * width, low + thick - 0.01, depth / 2 - 0.26), palette.light(dice)))
    return pieces


def bookshelf(dice: Dice) -> Pieces:
    """Boards between sides, a back, and books on most of the boards."""
    width, tall, depth = dice.between(0.6, 1.2), dice.between(1.2, 2.1), dice.between(0.26, 0.36)
    wood, thick = dice.pick((palette.wood, palette.wood, palette.light, palette.dark))(dice), 0.025
    pieces = [_block(thick, tall, depth, wood, x=side * (width - thick) / 2) for side in (-1, 1)]
    pieces.append(_block(width, tall, 0.01, wood, z=depth / 2 - 0.005))
    levels = np.linspace(0.05, tall - thick, dice.count(4, 7))
    for level, above in zip(levels, [*levels[1:], None]):
        pieces.append(_block(width - thick, thick, depth - 0.01, wood, y=level, z=-0.005))
        if above is not None and dice.chance(0.85):
            books = _books(dice, (width - 2 * thick) * dice.between(0.4, 1), above - level - thick, depth)
            pieces += moved(books, x=-width / 2 + thick, y=level + thick)
    return pieces


def _books(dice: Dice, run: float, gap: float, depth: float) -> Pieces:
    """A row of books from x = 0 on, `run` long, that stands on y = 0."""
    pieces, x = [], 0.005
    while (wide := dice.between(0.02, 0.06)) + x < run:
        tall, deep = gap * dice.between(0.55, 0.9), depth * dice.between(0.55, 0.8)
        color = dice.pick((palette.paint, palette.fabric, palette.dark, palette.light))(dice)
        pieces.append(_block(wide * 0.94, tall, deep, color, x=x + wide / 2, z=(depth - deep) / 2 - 0.02))
        x += wide
    return pieces


def cabinet(dice: Dice, width: float, tall: float, depth: float, *, drawers: bool) -> Pieces:
    """A body with drawers or doors, knobs on them, on feet or on the floor."""
    wood = dice.pick((palette.wood, palette.wood, palette.light, palette.paint, palette.dark))(dice)
    front = wood if dice.chance(0.5) else palette.mixed(dice)
    knob, feet = palette.metal(dice), dice.pick((0.0, 0.08))
    pieces = [_block(width, tall - feet, depth - 0.02, wood, y=feet, z=0.01)]
    if feet:
        for x, z in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            foot = (x * (width / 2 - 0.04), 0, z * (depth / 2 - 0.05))
            pieces.append(Piece(rod(foot, (foot[0], feet, foot[2]), 0.018), knob))
    rows = max(1, round((tall - feet) / dice.between(0.18, 0.26))) if drawers else 1
    columns = max(1, round(width / dice.between(0.45, 0.7)))
    wide, high = (width - 0.03) / columns, (tall - feet - 0.03) / rows
    for row in range(rows):
        for column in range(columns):
            x, y = (column - (columns - 1) / 2) * wide, feet + 0.015 + row * high
            pieces.append(_block(wide - 0.012, high - 0.012, 0.02, front, x=x, y=y + 0.006, z=-depth / 2 + 0.01))
            at_x = x if drawers else x + (wide / 2 - 0.05) * (1 if column % 2 == 0 else -1)
            pieces.append(
                _block(0.1 if drawers else 0.02, 0.02, 0.025, knob, x=at_x, y=y + high / 2, z=-depth / 2 - 0.01)
            )
    return pieces


def _block(x_size: float, y_size: float, z_size: float, color, *, x=0.0, y=0.0, z=0.0) -> Piece:
    """A box whose bottom lies at height y."""
    return Piece(box(x_size, y_size, z_size).moved(x, y + y_size / 2, z), color)
