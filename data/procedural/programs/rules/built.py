"""Objects that are built: houses and towers, racks and grids, plates with details, open shells on posts."""

import numpy as np

from data.procedural.programs.blocks import BLOCKS
from data.procedural.programs.joints import arch, framed, radial, row, stack, studded, table_of, trio
from data.procedural.programs.maker import Maker
from data.procedural.programs.outlines import curve, outline
from data.procedural.programs.pieces import Piece, Pieces, around, bounds, mapped, moved, pointing, turned, with_mirror
from data.procedural.solids import slab, tapered_box
from data.procedural.sweeps import tube


def building(maker: Maker) -> Pieces:
    """Wings and towers with roofs on a common ground, mirrored or not, with openings, columns and steps."""
    dice = maker.dice
    found = moved(maker.block((1.3, 0.03, dice.between(0.7, 1.3)), "box"), y=-0.02) if dice.chance(0.6) else []
    levels = dice.pick((dice.between(0.15, 0.5), dice.between(0.3, 2.0)))
    for number in range(dice.count(1, 5)):
        size = np.array([*maker.sizes(2, 0.12, 0.8)])
        tall = levels * dice.between(0.4, 1.3)
        place = dice.rng.uniform(-0.35, 0.35, 2) * (number > 0)
        house = _house(maker, size[0], tall, size[1])
        is_paired = number > 0 and dice.chance(0.5)
        house = moved(house, abs(place[0]) if is_paired else place[0], 0, place[1])
        found += with_mirror(house) if is_paired else house
    if dice.chance(0.3):  # steps that rise to the front of what is there
        tread, steps = dice.between(0.03, 0.1), dice.count(2, 5)
        front = bounds(found)[0][2]
        for step in range(steps):
            stair = maker.block((0.3, tread / 2 * (step + 1), 1.1 * tread), "box")
            found += moved(stair, z=front - (steps - step - 0.5) * tread)
    return found


def _house(maker: Maker, x: float, y: float, z: float) -> Pieces:
    """Walls, rows of windows that stand out, a roof."""
    dice = maker.dice
    body = dice.pick(("box", "box", "box", "column", "cut"))
    found = maker.block((x, y, z), body)
    rows, columns = dice.count(0, 5) if body == "box" else 0, dice.count(1, 5)
    window = maker.block((x / columns * 0.5, y / max(rows, 1) * 0.5, 0.02), "box")
    for level in range(rows):
        for place in (np.arange(columns) + 0.5) / columns - 0.5:
            found += moved(window, place * x, y * (level + 0.25) / rows, z / 2)
    kind = dice.pick(("flat", "gable", "hip", "dome", "spire", "parapet"), (2, 3, 2, 1, 1, 1))
    rise, over = dice.between(0.2, 0.8) * min(x, z), dice.between(1, 1.25)
    ends = {"gable": (x * over, 0.001), "hip": (x * 0.5, 0.01), "flat": (x * over, z * over)}
    if kind in ends:
        rise = 0.03 if kind == "flat" else rise
        roof = [Piece(tapered_box((x * over, z * over), ends[kind], rise), maker.color())]
    elif kind == "parapet":
        roof = maker.block((x * 1.02, 0.05, z * 1.02), dice.pick(("hoop", "lattice")))
    else:
        roof = maker.block((x * over, rise * (3 if kind == "spire" else 1), z * over), "column")
    found += moved(roof, y=y * 0.99)
    if dice.chance(0.3):
        found += moved(
            maker.block((0.06, rise + 0.08, 0.06)), x * dice.between(-0.3, 0.3), y, z * dice.between(-0.3, 0.3)
        )
    return found


def rack(maker: Maker) -> Pieces:
    """A case of boards with things on them, a grid of keys or windows, a ladder or fence."""
    dice = maker.dice
    kind = dice.pick(("case", "grid", "ladder"), (3, 2, 1))
    if kind == "grid":
        return _key_grid(maker)
    size = np.array([dice.between(0.3, 1), dice.between(0.3, 1.3), dice.between(0.08, 0.5)])
    thick = dice.between(0.015, 0.05)
    side = moved(
        maker.block((thick, size[1], size[2]), dice.pick(("box", "box", "lattice", "column"))), (size[0] - thick) / 2
    )
    found = with_mirror(side)
    count = dice.count(2, 9)
    if kind == "ladder":
        bar = maker.block((size[0], thick, thick), "column")
        return found + [piece for y in np.linspace(0.05, 0.92, count) for piece in moved(bar, y=y * size[1])]
    board = maker.block((size[0], thick, size[2]), "box")
    levels = np.linspace(0, size[1] - thick, count)
    found += [piece for y in levels for piece in moved(board, y=y)]
    if dice.chance(0.6):
        found += moved(maker.block((size[0], size[1], thick / 2), "box"), z=size[2] / 2)
    gap = levels[1] - thick
    for y in levels[: -1 if len(levels) > 2 else None]:
        if dice.chance(0.5):
            items = maker.part((size[0] * dice.between(0.2, 0.85), gap * dice.between(0.3, 0.9), size[2] * 0.7), 1)
            found += moved(items, dice.between(-0.05, 0.05), y + thick * 0.95)
    return found


def _key_grid(maker: Maker) -> Pieces:
    """Equal parts in rows and columns on a board, lying or upright."""
    dice = maker.dice
    x, z, thick = 1.0, dice.between(0.2, 1), dice.between(0.02, 0.15)
    found = maker.block((x, thick, z), "box")
    columns, rows = dice.count(2, 10), dice.count(1, 7)
    step = np.array([x / columns, z / rows])
    key = maker.block((step[0] * dice.between(0.4, 0.95), dice.between(0.02, 0.3), step[1] * dice.between(0.4, 0.95)))
    tall = dice.rng.uniform(0.2, 1.8, (columns, rows)) if dice.chance(0.4) else np.ones((columns, rows))
    for (column, line), factor in np.ndenumerate(tall):
        if dice.chance(0.95):
            grown = mapped(key, np.diag((1, factor, 1)))
            found += moved(grown, (column + 0.5) * step[0] - x / 2, thick * 0.9, (line + 0.5) * step[1] - z / 2)
    return found if dice.chance(0.7) else turned(found, "x", 90)


def plate(maker: Maker) -> Pieces:
    """A plate of any outline, lying or upright on a foot, with parts on its faces or around its rim."""
    dice = maker.dice
    flat = outline(dice, dice.pick(("box", "rounded", "round", "star", "gear", "polygon", "wavy", "lens")))
    flat = flat * (1, dice.between(0.3, 1))
    thick = dice.between(0.01, 0.2)
    body = [Piece(slab(flat, thick, bevel=dice.pick((0.0, 0.0, 0.05))), maker.color())]
    found = list(body)
    for _ in range(dice.count(0, 5)):
        size = maker.sizes(3, 0.04, 0.5)
        size[1] = dice.between(0.01, 0.4)
        place = dice.rng.uniform(-0.3, 0.3, 2) * (1, 0.6)
        direction = (0, dice.pick((1.0, 1.0, -1.0)), 0)
        placed = maker.attached(body, maker.part(size, 1), (place[0], 3 * direction[1], place[1]), direction, 0.005)
        found += with_mirror(placed) if dice.chance(0.4) else placed
    if dice.chance(0.45):
        return found
    upright = turned(found, "x", 90)
    low, _ = bounds(upright)
    if dice.chance(0.7):
        foot = maker.part((dice.between(0.2, 0.7), dice.between(0.03, 0.5), dice.between(0.15, 0.5)), 1)
        upright += moved(foot, y=low[1] - bounds(foot)[1][1] + 0.03, z=thick / 2)
    return upright


def canopy(maker: Maker) -> Pieces:
    """An open shell or curved sheet, alone, on a post or on legs: umbrellas, lamps, sails, tents, hats."""
    dice = maker.dice
    kind = dice.pick(("shell", "panel"))
    top = maker.block((1, dice.between(0.1, 0.8), dice.between(0.4, 1)), "panel" if kind == "panel" else "vessel")
    if kind == "shell" and dice.chance(0.6):
        top = moved(turned(top, "x", 180), y=bounds(top)[1][1])
    use = dice.pick(("alone", "post", "legs", "several"))
    if use == "alone":
        return top if dice.chance(0.5) else turned(top, "x", dice.between(20, 90))
    tall = dice.between(0.3, 1.6)
    if use == "several":  # one shell in another, or a row of them
        found, shift = list(top), dice.rng.uniform(-0.1, 0.1, 3) + (0, 0.5 * bounds(top)[1][1], 0)
        for number in range(1, dice.count(2, 5)):
            found += moved(mapped(top, np.eye(3) * dice.between(0.6, 1)), *(number * shift))
        return found
    if use == "legs":
        leg = moved(
            maker.block((0.04, tall + 0.1, 0.04), dice.pick(("column", "box"))), 0.33, 0, 0.5 * bounds(top)[1][2]
        )
        return moved(top, y=tall) + with_mirror(leg) + with_mirror(mapped(leg, np.diag((1, 1, -1))))
    foot = maker.block((0.4, 0.06, 0.4), dice.pick(("column", "superellipsoid", "box")))
    return moved(top, y=tall) + foot + maker.block((0.05, tall + bounds(top)[1][1] * 0.95, 0.05), "column")


def wire(maker: Maker) -> Pieces:
    """Thin curves: frames of glasses and cycles, hangers, handles, cages, with small parts at their ends."""
    dice, thick = maker.dice, maker.dice.between(0.008, 0.04)
    found: Pieces = []
    curves = dice.count(1, 3)
    for _ in range(curves):
        path = curve(dice, corners=dice.count(3, 7), wild=dice.between(0.5, 2))
        path = path / np.ptp(path, axis=0).max()
        flat = dice.pick(((1, 1, 1), (1, 1, 0.1), (1, 0.1, 1)))
        path = (path - path[0]) * flat
        line = [Piece(tube(path, thick, segments=6), maker.color())]
        end = maker.part(maker.sizes(3, 0.08, 0.4), 1) if dice.chance(0.6) else []
        line += mapped(end, pointing(path[-1] - path[-3]), path[-1]) if end else []
        found += with_mirror(line) if curves == 1 or dice.chance(0.5) else line
    if dice.chance(0.5):
        ring = maker.block((dice.between(0.2, 1), 2 * thick, dice.between(0.2, 1)), "hoop")
        ring = turned(ring, "x", dice.pick((0, 90)))
        low, high = bounds(ring)
        found += moved(ring, 0, -low[1], high[2])  # through the origin, where the curves begin
    if dice.chance(0.25):
        found = around(found, dice.count(3, 7))
    return found


def assembly(maker: Maker) -> Pieces:
    """Any joint of any proportions, its parts made of parts, or one block."""
    dice, size = maker.dice, maker.sizes(3, 0.1, 1)
    if dice.chance(0.1):
        return maker.block(size)
    rule = dice.pick((stack, stack, row, trio, radial, studded, studded, framed, table_of, table_of, arch))
    return rule(maker, size, dice.count(1, 2))


def scatter(maker: Maker) -> Pieces:
    """Blocks of any kind and pose, each set onto one of those before."""
    dice = maker.dice
    found = maker.block(maker.sizes(3, 0.2, 1), dice.pick(tuple(BLOCKS)))
    for _ in range(dice.count(1, 6)):
        child = maker.block(maker.sizes(3, 0.15, 0.9), dice.pick(tuple(BLOCKS)))
        low, high = bounds(found)
        direction = dice.rng.normal(size=3)
        target = found[dice.count(0, len(found) - 1)].solid.vertices.mean(axis=0)
        origin = target + 5 * (high - low).max() * direction / np.linalg.norm(direction)
        found += maker.attached(found, child, origin, direction, 0.3 * bounds(child)[1][1], dice.between(0, 360))
    return found
