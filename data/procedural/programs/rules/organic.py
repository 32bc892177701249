"""Objects that have grown: creatures with limbs, plants that branch, bumpy bodies."""

from typing import NamedTuple

import numpy as np

from data.procedural.curves import interpolate, smooth
from data.procedural.palette import Color
from data.procedural.programs.maker import Maker
from data.procedural.programs.pieces import (
    Piece,
    Pieces,
    around,
    bounds,
    fitted,
    mapped,
    moved,
    pointing,
    turned,
    with_mirror,
)
from data.procedural.sweeps import tube


def creature(maker: Maker) -> Pieces:
    """A body along a spine with pairs of limbs, a head, perhaps a tail and wings; lying, standing or upright."""
    dice, skin = maker.dice, maker.color()
    upright = dice.chance(0.4)
    spine = smooth([(0, dice.between(-0.12, 0.12), z) for z in np.linspace(-0.5, 0.5, dice.count(3, 5))], num_points=18)
    thick = dice.between(0.06, 0.24)
    middle = [
        (place, dice.between(low, high)) for place, low, high in ((0.15, 0.5, 1), (0.5, 0.6, 1.1), (0.85, 0.5, 1))
    ]
    radius = thick * interpolate([(0, 0.25), *middle, (1, 0.3)], np.linspace(0, 1, 18))[:, 0]
    found = [Piece(tube(spine, radius, segments=12, flat=dice.between(0.5, 1.3), wide=(1, 0, 0)), skin)]
    if dice.chance(0.85):
        found += _head(maker, spine, thick, skin, rises=not upright)
    if dice.chance(0.5):
        sway = [
            (0, dice.between(-0.1, 0.2), dice.between(0.1, 0.4)),
            (0, dice.between(-0.2, 0.5), dice.between(0.2, 0.7)),
        ]
        tail = smooth([spine[-2], *(spine[-1] + step for step in sway)])
        found.append(Piece(tube(tail, np.linspace(thick * 0.4, 0.01, len(tail)), segments=8), skin))
    down = np.array([1, 0, 0.6]) if upright else np.array([0.15, -1, 0])
    for place in dice.rng.permutation(np.linspace(0.15, 0.9, 6))[: dice.pick((0, 1, 2, 2, 2, 3, 4))]:
        found += _limbs(maker, spine[int(17 * place)], down, thick, skin)
    if dice.chance(0.3):
        wing = maker.block((dice.between(0.25, 0.6), 0.03, dice.between(0.2, 0.5)), "panel")
        wing = turned(moved(wing, bounds(wing)[1][0]), "z", dice.between(-20, 60))
        found += with_mirror(moved(wing, 0.3 * thick, *spine[dice.count(4, 12), 1:]))
    return turned(found, "x", 90) if upright else found


def _head(maker: Maker, spine: np.ndarray, thick: float, skin: Color, *, rises: bool) -> Pieces:
    """A head on a neck before the first point of the spine; the neck rises or goes straight on."""
    dice = maker.dice
    head = maker.block(np.ones(3), dice.pick(("ellipsoid", "blob", "superellipsoid", "column")))
    head = fitted(head, thick * dice.between(0.8, 2.2) * maker.sizes(3, 0.7, 1.5))
    neck = dice.between(0.02, 0.35)
    tip = np.array([0, spine[0, 1] + (neck * dice.between(0, 1) if rises else 0), -0.5 - neck])
    found = [Piece(tube(np.array([spine[1], tip]), (thick * 0.45, thick * 0.3)), skin)]
    return found + moved(mapped(head, pointing((0, dice.between(-0.5, 1), -1))), *tip)


def _limbs(maker: Maker, root: np.ndarray, down: np.ndarray, thick: float, skin: Color) -> Pieces:
    """A mirrored pair of jointed limbs with feet."""
    dice = maker.dice
    long = dice.between(0.25, 0.7)
    heading = down + dice.rng.normal(0, 0.25, 3)
    places, heading = [root + (thick * 0.4, 0, 0)], heading / np.linalg.norm(heading)
    for share in (0.5, 0.5):
        places.append(places[-1] + share * long * heading)
        heading = heading + dice.rng.normal(0, 0.35, 3) * (1, 0.5, 1)
        heading /= np.linalg.norm(heading)
    radius = thick * dice.between(0.2, 0.7) * np.linspace(1, dice.between(0.3, 0.9), 12)
    limb = [Piece(tube(smooth(places, num_points=12), radius), skin)]
    if dice.chance(0.7):
        foot = maker.block(3 * radius[-1] * np.array([1, 0.7, 1.6]), dice.pick(("ellipsoid", "box", "panel", "column")))
        limb += moved(foot, *(places[-1] - (0, radius[-1], radius[-1])))
    return with_mirror(limb)


class Branch(NamedTuple):
    """Where a branch begins, its direction of length 1, its length and radius."""

    start: np.ndarray
    heading: np.ndarray
    long: float
    thick: float


def plant(maker: Maker) -> Pieces:
    """A trunk that branches, with leaves or crowns of some kind, or bare; perhaps in a pot."""
    dice, bark = maker.dice, maker.color()
    leaf = _leaf(maker)
    kind = dice.pick(("branching", "rosette", "tiers"), (3, 2, 1))
    if kind == "branching":
        trunk = Branch(np.zeros(3), np.array([0, 1.0, 0]), dice.between(0.4, 1), dice.between(0.02, 0.07))
        found = _grown(maker, trunk, dice.count(1, 3), bark, leaf)
    else:
        tall = dice.between(0.05, 1.2)
        path = smooth([(0, 0, 0), (dice.between(-0.1, 0.1), tall / 2, 0), (0, tall, 0)], num_points=10)
        found = [Piece(tube(path, np.linspace(0.05, 0.03, 10)), bark)]
        found += _rosette(maker, tall) if kind == "rosette" else _tiers(maker, tall)
    if dice.chance(0.35):
        size = (dice.between(0.15, 0.5), dice.between(0.1, 0.4), dice.between(0.15, 0.5))
        pot = maker.block(size, dice.pick(("vessel", "column", "box")))
        found += moved(pot, y=0.02 - bounds(pot)[1][1])
    return found


def _rosette(maker: Maker, tall: float) -> Pieces:
    """Equal leaves around the top of a trunk."""
    dice = maker.dice
    count, droop = dice.count(5, 14), dice.between(10, 80)
    size = (dice.between(0.05, 0.25), dice.between(0.4, 0.9), dice.between(0.03, 0.2))
    blade = maker.block(size, dice.pick(("panel", "horn", "column")))
    return moved(around(turned(blade, "z", -droop), count), y=tall * 0.97)


def _tiers(maker: Maker, tall: float) -> Pieces:
    """Crowns along a trunk, smaller upwards."""
    dice = maker.dice
    count, wide = dice.count(2, 5), dice.between(0.25, 0.6)
    kind = dice.pick(("column", "blob", "ellipsoid", "superellipsoid"))
    found: Pieces = []
    for number in range(count):
        size = wide * (1 - number / (count + 1)) * np.array([2, 0.9, 2])
        found += moved(maker.block(size, kind), y=tall * 0.5 + number * 0.5 * wide)
    return found


def _leaf(maker: Maker) -> Pieces:
    """What ends a branch, standing on y = 0; empty for bare ones."""
    dice, long = maker.dice, maker.dice.between(0.08, 0.45)
    kind = dice.pick(("bare", "panel", "blob", "ellipsoid", "column"), (2, 3, 3, 1, 1))
    if kind == "bare":
        return []
    if kind == "panel":
        return turned(maker.block((long * 0.6, 0.02, long), "panel"), "x", dice.between(20, 90))
    return maker.block(long * maker.sizes(3, 0.6, 1.3), kind)


def _grown(maker: Maker, branch: Branch, depth: int, bark: Color, leaf: Pieces) -> Pieces:
    """A branch and those that grow out of it, `depth` times; the last ones end in a leaf."""
    dice, (start, heading, long, thick) = maker.dice, branch
    end = start + long * heading
    middle = (start + end) / 2 + dice.rng.normal(0, 0.08 * long, 3)
    path = smooth([start, middle, end], num_points=8)
    found = [Piece(tube(path, np.linspace(thick, thick * 0.6, 8), segments=6), bark)]
    if depth == 0:
        return found + mapped(leaf, pointing(heading, dice.between(0, 360)), end - 0.05 * long * heading)
    for _ in range(dice.count(2, 4)):
        side = heading + dice.between(0.4, 1.1) * dice.rng.normal(size=3) + (0, 0.2, 0)
        origin = path[dice.count(4, 7)]
        twig = Branch(origin, side / np.linalg.norm(side), long * dice.between(0.5, 0.85), thick * 0.6)
        found += _grown(maker, twig, depth - 1, bark, leaf)
    return found


def lump(maker: Maker) -> Pieces:
    """A bumpy body with smaller ones grown onto it, as heads, fruit, rocks and hands have them."""
    dice = maker.dice
    size = maker.sizes(3, 0.5, 1)
    body = maker.block(size, dice.pick(("blob", "blob", "superellipsoid", "ellipsoid")))
    found = list(body)
    for _ in range(dice.count(1, 7)):
        small = size.max() * dice.between(0.08, 0.35)
        child = maker.block(
            small * maker.sizes(3, 0.5, 1.6), dice.pick(("blob", "ellipsoid", "column", "horn", "panel"))
        )
        direction = dice.rng.normal(size=3)
        direction[0] = abs(direction[0]) if (is_paired := dice.chance(0.6)) else 0.0
        direction /= np.linalg.norm(direction)
        centre = np.array([0, size[1] / 2, 0])
        placed = maker.attached(
            body, child, centre + 3 * size.max() * direction, direction, 0.3 * small, dice.between(0, 360)
        )
        found += with_mirror(placed) if is_paired else placed
    return found
