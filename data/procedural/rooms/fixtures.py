"""What is fixed to the walls of a room, and the walls themselves. Metres, y up, front -z, the back on the wall."""

import numpy as np

from data.procedural import palette
from data.procedural.dice import Dice
from data.procedural.programs.pieces import Piece, Pieces
from data.procedural.rooms.things import Thing, thing
from data.procedural.solids import box, ellipsoid
from data.procedural.sweeps import sheet

_WALL_M = 0.1  # thickness, outside of the room
_SKY = (0.72, 0.85, 0.97)


def door(dice: Dice) -> Pieces:
    """A leaf in a frame, with panels and a handle."""
    width, tall = dice.between(0.78, 0.95), dice.between(1.98, 2.1)
    leaf = dice.pick((palette.wood, palette.wood, palette.light, palette.paint))(dice)
    frame = leaf if dice.chance(0.4) else palette.light(dice)
    pieces = _frame(width, tall, 0.07, 0.05, frame, sill=False)
    pieces.append(_panel(width, tall, 0.03, leaf))
    for low, high in dice.pick((((0.1, 0.9), (1.05, 1.85)), ((0.15, 1.85),), ())):
        pieces.append(_panel(width * 0.7, high - low, 0.038, tuple(0.85 * part for part in leaf), y=low))
    handle = ellipsoid(0.06, 0.015, 0.02).moved(dice.pick((-1, 1)) * (width / 2 - 0.08), 1.03, -0.05)
    return [*pieces, Piece(handle, palette.metal(dice))]


def window(dice: Dice) -> Pieces:
    """Panes before a bright sky, in a frame with bars and a sill."""
    width, tall = dice.between(0.8, 1.8), dice.between(0.9, 1.3)
    frame = dice.pick((palette.light, palette.light, palette.wood, palette.dark))(dice)
    pieces = _frame(width, tall, 0.06, 0.05, frame, sill=True)
    pieces.append(_panel(width, tall, 0.015, _SKY))
    for share in np.linspace(-0.5, 0.5, dice.count(2, 4))[1:-1]:
        pieces.append(_panel(0.035, tall, 0.035, frame, x=share * width))
    return pieces


def picture(dice: Dice) -> Pieces:
    """A framed picture of coloured patches."""
    width, tall = dice.between(0.35, 1.0), dice.between(0.3, 0.8)
    pieces = _frame(width, tall, 0.03, 0.03, palette.mixed(dice), sill=True)
    pieces.append(_panel(width, tall, 0.012, palette.light(dice)))
    for _ in range(dice.count(2, 5)):
        wide, high = width * dice.between(0.15, 0.5), tall * dice.between(0.15, 0.5)
        place = {"x": dice.between(-0.5, 0.5) * (width - wide), "y": dice.between(0, 1) * (tall - high)}
        pieces.append(_panel(wide, high, 0.014 + 0.002 * len(pieces), palette.paint(dice), **place))
    return pieces


def whiteboard(dice: Dice) -> Pieces:
    width, tall = dice.between(1.2, 2.4), dice.between(0.9, 1.2)
    pieces = [*_frame(width, tall, 0.03, 0.025, palette.metal(dice), sill=True), _panel(width, tall, 0.015, (1, 1, 1))]
    return [*pieces, _panel(width * 0.5, 0.02, 0.08, palette.metal(dice), y=-0.03)]


def curtain(dice: Dice, width: float, tall: float) -> Pieces:
    """A hanging cloth in folds."""
    x = np.linspace(-width / 2, width / 2, 4 * dice.count(5, 8) + 1)
    depth = 0.03 * np.sin(np.linspace(0, 2 * np.pi * (len(x) - 1) / 4, len(x))) - 0.045
    grid = np.stack([[x, np.full(len(x), y), depth] for y in (0, tall / 2, tall)]).transpose(0, 2, 1)
    return [Piece(sheet(grid, 0.012), dice.pick((palette.fabric, palette.light, palette.paint))(dice))]


def shell(dice: Dice, width: float, depth: float, height: float, rng: np.random.Generator) -> list[Thing]:
    """Build floor, ceiling and four walls around the box from (0, 0, 0) to (width, depth, height)."""
    paint = dice.pick((palette.light, palette.light, palette.fabric))(dice)
    wide, deep = width + 2 * _WALL_M, depth + 2 * _WALL_M
    floor = thing("floor", _floor(dice, wide, deep), rng).moved(width / 2, depth / 2, -_WALL_M)
    ceiling = thing("ceiling", [Piece(box(wide, _WALL_M, deep), palette.light(dice))], rng)
    things = [floor, ceiling.moved(width / 2, depth / 2, height)]
    for angle, run, x, y in (
        (0, width, width / 2, -_WALL_M / 2),
        (90, depth, width + _WALL_M / 2, depth / 2),
        (180, width, width / 2, depth + _WALL_M / 2),
        (270, depth, -_WALL_M / 2, depth / 2),
    ):
        color = palette.paint(dice) if dice.chance(0.1) else paint
        pieces = [Piece(box(run + 2 * _WALL_M, height, _WALL_M), color)]
        things.append(thing("wall", pieces, rng).turned(angle).moved(x, y))
    return things


def _floor(dice: Dice, width: float, depth: float) -> Pieces:
    """Boards of slightly different shades, or one carpet."""
    kind = dice.pick((palette.wood, palette.wood, palette.fabric, palette.metal))
    base = np.array(kind(dice))
    count = round(depth / dice.between(0.12, 0.3)) if dice.chance(0.7) else 1
    edges = np.linspace(-depth / 2, depth / 2, count + 1)
    return [
        Piece(box(width, _WALL_M, end - start).moved(z=(start + end) / 2), tuple(np.clip(base * shade, 0, 1)))
        for start, end, shade in zip(edges, edges[1:], dice.rng.uniform(0.85, 1.1, count))
    ]


def _panel(width: float, tall: float, thick: float, color, *, x: float = 0.0, y: float = 0.0) -> Piece:
    """A plate on the wall, which is z = 0, its lower edge at y."""
    return Piece(box(width, tall, thick).moved(x, y + tall / 2, -thick / 2), color)


def _frame(width: float, tall: float, wide: float, thick: float, color, *, sill: bool) -> Pieces:
    """Bars around an opening of width x tall above y = 0, below it too with `sill`."""
    across = width + 2 * wide
    sides = [_panel(wide, tall, thick, color, x=side * (width + wide) / 2) for side in (-1, 1)]
    bars = [_panel(across, wide, thick, color, y=tall)] + [_panel(across, wide, thick, color, y=-wide)] * sill
    return sides + bars
