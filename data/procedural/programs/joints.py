"""Joints: rules by which a part of a given size is made of smaller parts, which may be joints again."""

import numpy as np

from data.procedural.programs.maker import Maker, Rule
from data.procedural.programs.pieces import Pieces, around, bounds, fitted, hit, mapped, moved, turned, with_mirror

_OVERLAP = 0.03  # of a part's length, so that parts that touch share a volume


def stack(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """Parts one on another, of different heights and widths."""
    dice = maker.dice
    heights = size[1] * dice.rng.dirichlet(np.full(dice.count(2, 5), 1.5)).clip(0.05)
    order = dice.pick((0, -1, 1))  # widths as drawn, growing downward, growing upward
    widths = maker.sizes(len(heights), 0.3, 1)
    widths = widths if order == 0 else np.sort(widths)[::order]
    floor, found = 0.0, []
    for height, width in zip(heights, widths):
        found += moved(maker.part(size * (width, 0, width) + (0, height, 0), depth), y=floor)
        floor += height * (1 - _OVERLAP)
    return found


def row(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """Equal or different parts side by side on a plate or under a bar."""
    dice, count = maker.dice, maker.dice.count(2, 7)
    step = size[0] / count
    plate = dice.between(0.03, 0.12) * size[1]
    share = dice.between(0.5, 1.05)
    each = np.array([step * share, size[1] - plate, size[2] * dice.between(0.6, 1)])
    same = maker.part(each, depth) if dice.chance(0.7) else None
    found = maker.block((size[0], plate * 1.1, size[2]), "box")
    for number in range(count):
        part = maker.part(each * (1, dice.between(0.4, 1), 1), depth) if same is None else same
        found += moved(part, (number + 0.5) * step - size[0] / 2, plate)
    if same is not None and dice.chance(0.3):
        found += moved(maker.block((size[0], plate, size[2]), "box"), y=size[1] - plate)
    return found if dice.chance(0.6) else turned(found, "y", 90)


def trio(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """A middle part with a mirrored pair at its sides."""
    dice = maker.dice
    middle = size[0] * dice.between(0.25, 0.7)
    side = (size[0] - middle) / 2
    each = np.array([side * 1.1, size[1] * dice.between(0.25, 1), size[2] * dice.between(0.3, 1)])
    level = dice.pick((0.0, size[1] - each[1], (size[1] - each[1]) / 2))
    lateral = moved(maker.part(each, depth), middle / 2 + each[0] / 2 - 0.1 * side, level)
    return maker.part((middle, size[1], size[2]), depth) + with_mirror(lateral)


def radial(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """Equal parts around a hub, with or without a rim; lying or upright."""
    dice, count = maker.dice, maker.dice.count(3, 10)
    hub, thick = dice.between(0.05, 0.35), dice.between(0.1, 1)
    arm = maker.part((dice.between(0.05, 0.9) * 2 * np.pi / count, 1 - hub * 0.8, thick * dice.between(0.3, 1)), depth)
    arm = moved(turned(arm, "z", -90), hub * 0.8, thick / 2)
    found = around(arm, count) + maker.block((2 * hub, thick, 2 * hub), dice.pick(("column", "ellipsoid", "vessel")))
    if dice.chance(0.4):
        found += moved(maker.block((2.06, thick * dice.between(0.3, 1.1), 2.06), "hoop"), y=thick * 0.1)
    return found if dice.chance(0.5) else turned(found, dice.pick(("x", "z")), 90)


def studded(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """A body with parts set onto its surface, many of them in mirrored pairs."""
    dice = maker.dice
    body = maker.part(size, 0)
    found = list(body)
    for _ in range(dice.count(1, 5)):
        length = size.max() * dice.between(0.08, 0.45)
        wide, deep = length * maker.sizes(2, 0.15, 1.2)
        child = maker.part((wide, length, deep), depth)
        direction = np.array(dice.pick(((0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, -1), (1, 1, 0), (1, 0, 0.7))))
        origin = dice.rng.uniform(-0.35, 0.35, 3) * size + (0, size[1] / 2, 0)
        is_paired = direction[0] > 0 or dice.chance(0.3)
        origin[0] = abs(origin[0]) if is_paired else 0.0
        origin = np.where(direction != 0, origin + 3 * size.max() * direction, origin)
        placed = maker.attached(body, child, origin, direction, 0.15 * min(length, size.min()))
        found += with_mirror(placed) if is_paired else placed
    return found


def framed(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """An upright frame around bars, a sheet or other parts."""
    dice = maker.dice
    thick = dice.between(0.03, 0.12) * min(size[0], size[1])
    post = moved(maker.block((thick, size[1], size[2])), (size[0] - thick) / 2)
    beam = maker.block((size[0], thick, size[2]), "box")
    found = with_mirror(post) + beam + moved(beam, y=size[1] - thick)
    inner = size * (1, 1, dice.between(0.2, 0.9)) - (thick, thick, 0)
    filling = (
        maker.block(inner, dice.pick(("lattice", "box", "panel"))) if dice.chance(0.6) else maker.part(inner, depth)
    )
    return found + moved(filling, y=thick / 2)


def table_of(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """A part on legs, which are straight, splayed or curved and may have bars between them."""
    dice = maker.dice
    tall = size[1] * dice.between(0.25, 0.93)
    found = moved(maker.part((size[0], size[1] - tall, size[2]), depth), y=tall * 0.98)
    count, thick = dice.pick((1, 2, 3, 4, 4, 4, 6)), dice.between(0.03, 0.15) * size[[0, 2]].min()
    reach = size[[0, 2]] / 2 - thick * dice.between(0.6, 2)
    if count == 1:
        foot = maker.block((size[0] * dice.between(0.4, 0.9), tall * 0.08, size[2] * dice.between(0.4, 0.9)))
        return found + foot + moved(maker.block((2 * thick, tall, 2 * thick)), y=0.01)
    if count == 2:  # two side walls or trestles
        return found + with_mirror(moved(maker.part((thick, tall, size[2] * 0.9), depth), reach[0]))
    leg = maker.block((thick, 1, thick), dice.pick(("column", "box", "horn", "column")))
    splay, top = dice.pick((0.0, 0.0, dice.between(0, 14))), list(found)
    for angle in (np.arange(count) + 0.5) * 2 * np.pi / count:
        unit = np.array([np.cos(angle), np.sin(angle)])
        place = reach * unit * (1 / np.abs(unit).max() if count == 4 else 1.0)
        meets = [hit(top, (x, -1, z), (0, 1, 0)) for x, z in (place, place * 0.6, place * 0.3)]
        nearest = next((number for number, point in enumerate(meets) if point is not None), None)
        below = np.array([place[0], tall, place[1]])  # of a hollow top: where its box begins
        end = below if nearest is None else meets[nearest] + (0, 0.02 * size[1], 0)
        high = mapped(leg, np.diag((1, end[1], 1)), (0, -end[1], 0))
        found += moved(turned(turned(high, "z", splay), "y", -np.degrees(angle)), *end)
    if dice.chance(0.35) and splay == 0:
        level = tall * dice.between(0.1, 0.6)
        found += moved(maker.block((2 * reach[0], thick / 2, 2 * reach[1]), dice.pick(("hoop", "box"))), y=level)
    return found


def arch(maker: Maker, size: np.ndarray, depth: int) -> Pieces:
    """Equal parts along an arc, as a bridge or a string of beads has them."""
    dice, count = maker.dice, maker.dice.count(5, 14)
    span = np.radians(dice.between(90, 300))
    step = 1.15 * span / (count - 1)
    part = maker.part((step, dice.between(0.1, 0.5), dice.between(0.1, 0.8)), depth)
    found = []
    for angle in np.linspace(-span / 2, span / 2, count):
        found += turned(moved(part, y=0.9), "z", np.degrees(angle))
    low, _ = bounds(found)
    return fitted(moved(found, y=-low[1]), size)


JOINTS: dict[str, tuple[Rule, float]] = {
    "stack": (stack, 3),
    "row": (row, 2),
    "trio": (trio, 2),
    "radial": (radial, 1.5),
    "studded": (studded, 3),
    "framed": (framed, 1),
    "legs": (table_of, 2),
    "arch": (arch, 0.7),
}
