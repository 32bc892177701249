"""Blocks: parts of one solid or one surface, of extents near 1, that a program fits into place."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from data.procedural.curves import rounded_outline
from data.procedural.dice import Dice
from data.procedural.palette import Color
from data.procedural.programs.deform import clipped
from data.procedural.programs.outlines import OUTLINES, PROFILES, curve, knot, outline, profile
from data.procedural.programs.pieces import Piece, Pieces
from data.procedural.solids import Solid, box, ellipsoid, lathe, loft
from data.procedural.sweeps import rod, sheet, tube


def any_column(dice: Dice, color: Color) -> Pieces:
    """A prism, cone, turned, domed or twisted column of any outline."""
    start = outline(dice, dice.pick(OUTLINES, (3, 3, 2, 2, 1, 0.5, 1, 1)))
    rows = profile(dice, dice.pick(PROFILES))
    return [Piece(_column(dice, start, rows), color)]


def _column(dice: Dice, start: np.ndarray, rows: np.ndarray, *, capped: bool = True) -> Solid:
    end = start
    if dice.chance(0.15):  # to a circle at the top, with as many points
        end = rounded_outline(1, 1, power=2, num_points=len(start))
    turn = dice.between(-2, 2) if dice.chance(0.12) else 0.0
    lean = dice.rng.uniform(-0.6, 0.6, 2) if dice.chance(0.12) else np.zeros(2)
    rings = []
    for scale, height in rows:
        cos, sin = np.cos(turn * height), np.sin(turn * height)
        flat = ((1 - height) * start + height * end) * max(scale, 1e-4) @ np.array([[cos, sin], [-sin, cos]])
        flat = flat + lean * height
        rings.append(np.stack([flat[:, 0], np.full(len(flat), height), flat[:, 1]], axis=1))
    return loft(np.stack(rings), capped=capped)


def plain_box(dice: Dice, color: Color) -> Pieces:
    return [Piece(box(1, 1, 1), color)]


def any_ellipsoid(dice: Dice, color: Color) -> Pieces:
    return [Piece(ellipsoid(0.5, 0.5, 0.5), color)]


def superellipsoid(dice: Dice, color: Color) -> Pieces:
    """From a double cone over a ball to a rounded box."""
    round_up, round_out = dice.between(0.2, 1.8), dice.between(0.2, 1.8)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 11)
    about = np.arange(24) * 2 * np.pi / 24
    flat = np.stack([_power(np.cos(about), round_out), _power(np.sin(about), round_out)], axis=1)
    rings = [
        np.column_stack([flat[:, 0] * r, np.full(24, y), flat[:, 1] * r])
        for r, y in zip(_power(np.cos(angle), round_up), _power(np.sin(angle), round_up))
    ]
    return [Piece(loft(np.stack(rings)), color)]


def _power(wave: np.ndarray, power: float) -> np.ndarray:
    return np.sign(wave) * np.abs(wave) ** power


def blob(dice: Dice, color: Color) -> Pieces:
    """A ball with smooth bumps."""
    ball = ellipsoid(0.5, 0.5, 0.5, segments=24, rings=15)
    unit = 2 * ball.vertices
    waves, phase = dice.rng.normal(0, dice.between(1, 2.2), (4, 3)), dice.rng.uniform(0, 7, 4)
    bumps = np.sin(unit @ waves.T + phase).sum(axis=1)
    radius = np.exp(dice.between(0.08, 0.3) * bumps)
    return [Piece(Solid(ball.vertices * radius[:, None], ball.faces), color)]


def cut_block(dice: Dice, color: Color) -> Pieces:
    """A box, ball or cylinder cut by one to three planes."""
    solid = dice.pick((box(1, 1, 1), ellipsoid(0.5, 0.5, 0.5), lathe([(0.5, -0.5), (0.5, 0.5)])))
    for _ in range(dice.count(1, 3)):
        normal = dice.rng.normal(size=3) * dice.pick(((1, 1, 1), (1, 1, 0), (0, 1, 1)))
        solid = clipped(solid, normal / np.linalg.norm(normal), dice.between(0.05, 0.4)) or solid
    return [Piece(solid, color)]


def vessel(dice: Dice, color: Color) -> Pieces:
    """A bowl, cup, pipe or ring: a turned wall, thick or an open surface."""
    rows = profile(dice, dice.pick(("straight", "taper", "turned", "flare", "dome")))
    rows = rows * (0.5, 1) + (0.02, 0)
    if dice.chance(0.3):
        return [Piece(_open_lathe(rows), color)]
    wall = dice.between(0.02, 0.15)
    inner = np.maximum(rows - (wall, 0), (0.005, 0))[::-1]
    floor = [] if dice.chance(0.3) else [(0.0, dice.between(0.02, 0.1))]
    inner = inner if not floor else [*inner[:-1], *floor]
    closed = [*rows, *inner] if floor else [*rows, *inner, rows[0]]
    return [Piece(lathe([(0.0, 0.0), *closed] if floor else closed, segments=dice.pick((24, 24, 24, 6, 4))), color)]


def _open_lathe(rows: np.ndarray, segments: int = 24) -> Solid:
    angle = np.arange(segments) * 2 * np.pi / segments
    circle = np.stack([np.cos(angle), np.zeros(segments), np.sin(angle)], axis=1)
    rings = circle * rows[:, :1, None]
    rings[..., 1] = rows[:, 1:]
    return loft(rings, capped=False)


def horn(dice: Dice, color: Color) -> Pieces:
    """A tube along a smooth curve, of constant or changing radius."""
    path = curve(dice, wild=dice.between(0.2, 1.5))
    thick = dice.between(0.05, 0.35)
    ends = (1.0, 1.0) if dice.chance(0.4) else (1.0, dice.between(0.05, 0.8))
    radius = thick * np.linspace(*ends, len(path))
    return [Piece(tube(path, radius, segments=dice.pick((8, 8, 12, 4)), flat=dice.pick((1.0, 1.0, 0.3))), color)]


def panel(dice: Dice, color: Color) -> Pieces:
    """A thin sheet, flat or curved, rectangular or leaf-shaped, lying."""
    a, b = np.meshgrid(np.linspace(-1, 1, 13), np.linspace(-1, 1, 9), indexing="ij")
    kind = dice.pick(("flat", "arched", "saddle", "wavy", "dish", "folded", "rolled"), (2, 2, 1, 1, 1, 1, 1))
    rise = dice.between(0.2, 0.9)
    height = {
        "flat": 0 * a,
        "arched": rise * (1 - a**2),
        "saddle": rise * (a**2 - b**2),
        "wavy": 0.3 * rise * np.sin(dice.between(2, 7) * a + dice.between(0, 3)),
        "dish": rise * (a**2 + b**2) / 2,
        "folded": rise * np.abs(a),
        "rolled": 0 * a,
    }[kind]
    width = np.ones_like(a)
    if dice.chance(0.4):  # leaf, blade, triangle
        width = np.maximum(dice.pick((1 - a**2, (1 - a) / 2, 1 - 0.5 * (a + 1) / 2)), 0.03)
    grid = np.stack([a, height, b * width], axis=-1)
    if kind == "rolled":
        turn = dice.between(1.5, 6) * a / 2
        grid = np.stack([np.sin(turn), np.cos(turn), b * width], axis=-1)
    return [Piece(sheet(grid, dice.between(0.01, 0.08)), color)]


def wall(dice: Dice, color: Color) -> Pieces:
    """A wall that stands on a curve: C, S, L, U or wandering."""
    bent = curve(dice, corners=dice.count(2, 5), wild=1.2)[:, [0, 2]]
    kind = dice.pick(("wander", "arc", "corner"))
    if kind == "arc":
        angle = np.linspace(0, dice.between(1.5, 5.5), 20)
        bent = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if kind == "corner":
        bent = dice.pick(([(0, 1), (0, 0), (1, 0)], [(0, 1), (0, 0), (1, 0), (1, 1)], [(0, 0), (1, 0), (1, 1), (2, 1)]))
        bent = np.repeat(np.asarray(bent, dtype=np.float64), 2, axis=0)
        bent[1:-1:2] += 0.02 * (bent[2::2] - bent[1:-1:2])
        bent[2:-1:2] -= 0.02 * (bent[2:-1:2] - bent[1:-2:2])
    steps = np.linspace(0, 1, 5)
    grid = np.stack([np.column_stack([bent[:, 0], np.full(len(bent), y), bent[:, 1]]) for y in steps], axis=1)
    return [Piece(sheet(grid, dice.between(0.03, 0.25)), color)]


def hoop(dice: Dice, color: Color) -> Pieces:
    """A ring along any outline, lying: torus, frame, washer."""
    flat = outline(dice, dice.pick(("round", "round", "box", "rounded", "polygon", "wavy")), 32)
    closed = np.concatenate([flat, flat[:1]])
    path = np.column_stack([closed[:, 0], np.zeros(len(closed)), closed[:, 1]])
    thick = dice.between(0.02, 0.14)
    return [
        Piece(tube(path, thick, segments=dice.pick((4, 8, 10)), flat=dice.pick((1, 1, 0.3, 2)), wide=(0, 1, 0)), color)
    ]


def spring(dice: Dice, color: Color) -> Pieces:
    turns = dice.between(1.5, 7)
    angle = np.linspace(0, 2 * np.pi * turns, int(14 * turns))
    radius = np.linspace(1, dice.pick((1.0, 1.0, 0.2)), len(angle)) / 2
    path = np.stack([radius * np.cos(angle), np.linspace(0, 1, len(angle)), radius * np.sin(angle)], axis=1)
    return [Piece(tube(path, dice.between(0.015, 0.06), segments=6), color)]


def loop(dice: Dice, color: Color) -> Pieces:
    """A closed curve of tube: loops and knots."""
    return [Piece(tube(knot(dice), dice.between(0.03, 0.15), segments=7), color)]


def lattice(dice: Dice, color: Color) -> Pieces:
    """Bars in one or two directions in a frame, upright."""
    thick, columns, rows = dice.between(0.008, 0.03), dice.count(2, 9), dice.count(0, 6)
    bars = [rod((x, 0, 0), (x, 1, 0), thick, segments=5) for x in np.linspace(-0.5, 0.5, columns)]
    levels = [0.0, 1.0] if rows < 2 else np.linspace(0, 1, rows)
    bars += [rod((-0.5, y, 0), (0.5, y, 0), thick, segments=5) for y in levels]
    return [Piece(bar, color) for bar in bars]


def cage(dice: Dice, color: Color) -> Pieces:
    """The edges of a box, pyramid, prism or ball as rods."""
    thick, sides = dice.between(0.01, 0.05), dice.count(3, 8)
    levels, scales = dice.pick(
        (((0, 1), (1, 1)), ((0, 1), (1, 0.4)), ((0, 0.5, 1), (0.6, 1, 0.6)), ((0, 1), (1, 0.05)))
    )
    angle = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    rings = [
        np.column_stack([s * np.cos(angle) / 2, np.full(sides, y), s * np.sin(angle) / 2])
        for y, s in zip(levels, scales)
    ]
    bars = [(ring[i], ring[(i + 1) % sides]) for ring in rings for i in range(sides)]
    bars += [(low[i], high[i]) for low, high in pairwise(rings) for i in range(sides)]
    return [Piece(rod(*ends, thick, segments=5), color) for ends in bars]


BLOCKS: dict[str, tuple[Callable[[Dice, Color], Pieces], float]] = {
    "column": (any_column, 8),
    "box": (plain_box, 5),
    "ellipsoid": (any_ellipsoid, 2),
    "superellipsoid": (superellipsoid, 2),
    "blob": (blob, 1.5),
    "cut": (cut_block, 2),
    "vessel": (vessel, 2),
    "horn": (horn, 2),
    "panel": (panel, 3),
    "wall": (wall, 1),
    "hoop": (hoop, 1.5),
    "spring": (spring, 0.4),
    "loop": (loop, 0.4),
    "lattice": (lattice, 0.8),
    "cage": (cage, 0.5),
}
