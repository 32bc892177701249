"""What stands in each kind of room, and whole rooms by number."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data.procedural import palette
from data.procedural.dice import Dice
from data.procedural.programs.joints import JOINTS
from data.procedural.programs.maker import Maker
from data.procedural.programs.numbered_programs import GROUPS
from data.procedural.programs.pieces import Piece, Pieces
from data.procedural.rooms import fixtures, furniture
from data.procedural.rooms.layout import Layout, overlap
from data.procedural.rooms.things import Thing, family_pieces, scaled_to, thing
from data.procedural.solids import box

_SILL_M = (0.8, 1.0)
_MOST_FACES = 5000  # of an object of a random program; some have 200,000


class Room(NamedTuple):
    """A furnished room: `kind`, the size (3,) of its inside in metres, and its things, the shell first."""

    kind: str
    size: np.ndarray
    things: list[Thing]


def make_room(seed: int, index: int) -> Room:
    """Furnish the room of this number, a function of (seed, index) alone."""
    rng = room_rng(seed, index)
    dice = Dice(rng)
    kind = dice.pick(tuple(_FURNISHERS))
    size = np.array([dice.between(3.4, 5.8), dice.between(3.2, 5.0), dice.between(2.4, 3.0)])
    layout = Layout(size, dice)
    _fix_to_walls(layout)
    _FURNISHERS[kind](layout)
    _decorate(layout)
    return Room(kind, size, [*fixtures.shell(dice, *size, rng), *layout.things])


def room_rng(seed: int, index: int, purpose: int = 0) -> np.random.Generator:
    """Create the generator of a room; purpose 0 furnishes it, others give independent streams, e.g. for its sensor."""
    return np.random.default_rng((seed, index, purpose))


def _fix_to_walls(layout: Layout) -> None:
    """Add a door with free floor before it, windows, and curtains beside some of them."""
    dice, rng = layout.dice, layout.dice.rng
    layout.against_wall([thing("door", fixtures.door(dice), rng, gap=0.9)], gap=0.001)
    for _ in range(dice.count(1, 2)):
        pane = thing("window", fixtures.window(dice), rng, gap=0.12)
        sill = dice.between(*_SILL_M)
        group, height = [pane], sill
        if dice.chance(0.5):
            tall = min(sill + pane.high[2] + 0.12, layout.size[2] - 0.02) - 0.06
            cloths = [thing("curtain", fixtures.curtain(dice, 0.35, tall), rng) for _ in range(2)]
            shifts = [side * (pane.high[0] + cloth.high[0] + 0.03) for side, cloth in zip((-1, 1), cloths)]
            cloths = [cloth.moved(x, pane.low[1] - cloth.low[1], 0.06 - sill) for cloth, x in zip(cloths, shifts)]
            group, height = [pane, *cloths], 0.06
        layout.against_wall(group, height=height, gap=0.001)


def _living(layout: Layout) -> None:
    dice, rng = layout.dice, layout.dice.rng
    couch = thing("sofa", furniture.sofa(dice), rng)
    low_table = thing("table", family_pieces("table", rng, ("coffee",)), rng).turned(dice.pick((0, 180)))
    low_table = low_table.moved(0, couch.high[1] - low_table.low[1] + dice.between(0.3, 0.5))
    if not layout.against_wall([couch, low_table]):
        layout.against_wall([couch])
    for _ in range(dice.count(1, 2)):
        seat = thing("chair", family_pieces("chair", rng), rng)
        layout.on_floor([seat], angles=tuple(rng.uniform(0, 360, 4)))
    _shelves(layout, dice.count(1, 2))
    _cabinet(layout, "cabinet", (0.9, 1.6), (0.45, 0.8), (0.35, 0.5), drawers=dice.chance(0.5))
    _side_table(layout)
    _floor_lamp(layout)


def _bedroom(layout: Layout) -> None:
    dice, rng = layout.dice, layout.dice.rng
    group = [thing("bed", furniture.bed(dice), rng)]
    for side in (-1, 1):
        if dice.chance(0.7):
            pieces = furniture.cabinet(dice, dice.between(0.38, 0.52), dice.between(0.42, 0.6), 0.38, drawers=True)
            stand = thing("night_stand", pieces, rng)
            x = side * (group[0].high[0] + stand.high[0] + 0.05)
            group.append(stand.moved(x, group[0].low[1] - stand.low[1]))
    if not layout.against_wall(group):
        layout.against_wall(group[:1])
    _cabinet(layout, "dresser", (0.8, 1.3), (0.75, 1.1), (0.42, 0.52), drawers=True)
    if dice.chance(0.7):
        _cabinet(layout, "cabinet", (0.9, 1.6), (1.7, 2.1), (0.5, 0.6), drawers=False)
    if dice.chance(0.6):
        _desk(layout)
    _shelves(layout, dice.count(0, 1))
    _floor_lamp(layout)


def _office(layout: Layout) -> None:
    dice = layout.dice
    for _ in range(dice.count(2, 4)):
        _desk(layout)
    _shelves(layout, dice.count(1, 3))
    _cabinet(layout, "cabinet", (0.4, 0.9), (0.6, 1.3), (0.42, 0.5), drawers=True)
    board = thing("whiteboard", fixtures.whiteboard(dice), dice.rng)
    layout.against_wall([board], height=dice.between(0.9, 1.05), gap=0.001)
    _floor_lamp(layout)


def _dining(layout: Layout) -> None:
    dice = layout.dice
    _table_with_chairs(layout)
    _cabinet(layout, "cabinet", (0.9, 1.6), (0.75, 1.0), (0.4, 0.5), drawers=dice.chance(0.5))
    _shelves(layout, dice.count(0, 2))
    _side_table(layout)
    if dice.chance(0.4):
        layout.against_wall([thing("sofa", furniture.sofa(dice), dice.rng)])


def _meeting(layout: Layout) -> None:
    dice, rng = layout.dice, layout.dice.rng
    _table_with_chairs(layout)
    board = thing("whiteboard", fixtures.whiteboard(dice), rng)
    layout.against_wall([board], height=dice.between(0.9, 1.05), gap=0.001)
    for _ in range(dice.count(1, 3)):
        layout.against_wall([thing("chair", family_pieces("chair", rng), rng)], gap=0.08)
    _cabinet(layout, "cabinet", (0.9, 1.6), (0.7, 1.0), (0.4, 0.5), drawers=False)
    _shelves(layout, dice.count(0, 1))


_FURNISHERS: dict[str, Callable[[Layout], None]] = {
    "lounge": _living,
    "bedroom": _bedroom,
    "office": _office,
    "pantry": _dining,
    "conferenceRoom": _meeting,
}


def _table_with_chairs(layout: Layout) -> None:
    """Put a table near the middle, chairs of one kind at its sides, and often a lamp above it."""
    dice, rng = layout.dice, layout.dice.rng
    table = thing("table", family_pieces("table", rng, ("dining",)), rng)
    pieces = family_pieces("chair", rng)
    group = [table]
    along, far_x, far_y = max(1, int((table.high[0] - table.low[0]) / 0.75)), table.high[0], table.high[1]
    for angle, count, far in ((180, along, far_y), (0, along, far_y), (90, 1, far_x), (270, 1, far_x)):
        for place in np.arange(count) - (count - 1) / 2:
            if dice.chance(0.85):
                chair = thing("chair", pieces, rng).turned(angle)
                step = (chair.high[:2] - chair.low[:2]) / 2
                ahead = np.rint([-np.sin(np.radians(angle)), np.cos(np.radians(angle))])
                centre = -ahead * (far + step[np.abs(ahead).argmax()] + dice.between(0.01, 0.12))
                centre += place * np.array([abs(ahead[1]), abs(ahead[0])]) * 0.75
                chair = chair.moved(*centre)
                group += [chair] if not any(overlap(chair, other) for other in group) else []
    if not layout.on_floor(group, middle=0.4):
        group = group[:1]
        layout.on_floor(group, middle=0.4)
    found = [one for one in layout.things if one.kind == "table"]
    if found and dice.chance(0.6):
        centre = (found[-1].low + found[-1].high) / 2
        layout.hang(thing("lamp", family_pieces("lamp", rng, ("pendant", "chandelier")), rng), *centre[:2])


def _desk(layout: Layout) -> None:
    """Put a desk at a wall with a chair before it, and a computer and a lamp on it."""
    dice, rng = layout.dice, layout.dice.rng
    desk = thing("desk", family_pieces("table", rng, ("desk",)), rng)
    chair = thing("chair", family_pieces("chair", rng), rng).turned(180)
    chair = chair.moved(dice.between(-0.2, 0.2), desk.high[1] - chair.low[1] + dice.between(0.01, 0.15))
    before = len(layout.things)
    if not layout.against_wall([desk, chair]):
        layout.against_wall([desk])
    for placed in layout.things[before : before + 1]:
        layout.on_top(thing("clutter", family_pieces("laptop", rng), rng), placed, margin=0.05)
        if dice.chance(0.5):
            layout.on_top(thing("lamp", family_pieces("lamp", rng, ("desk",)), rng), placed, margin=0.02)


def _shelves(layout: Layout, count: int) -> None:
    for _ in range(count):
        layout.against_wall([thing("bookshelf", furniture.bookshelf(layout.dice), layout.dice.rng)])


def _cabinet(layout: Layout, kind: str, width, tall, depth, *, drawers: bool) -> None:
    dice = layout.dice
    pieces = furniture.cabinet(dice, *(dice.between(*span) for span in (width, tall, depth)), drawers=drawers)
    layout.against_wall([thing(kind, pieces, dice.rng)])


def _side_table(layout: Layout) -> None:
    """Put a small table at a wall, often with a lamp on it."""
    dice, rng = layout.dice, layout.dice.rng
    table = thing("table", family_pieces("table", rng, ("side",)), rng)
    if layout.against_wall([table]) and dice.chance(0.7):
        layout.on_top(thing("lamp", family_pieces("lamp", rng, ("table",)), rng), layout.things[-1], margin=0.0)


def _floor_lamp(layout: Layout) -> None:
    if layout.dice.chance(0.7):
        pieces = family_pieces("lamp", layout.dice.rng, ("floor",))
        layout.against_wall([thing("lamp", pieces, layout.dice.rng)], gap=0.05)


def _decorate(layout: Layout) -> None:
    """Hang pictures, put small things on all tops, and plants and objects of random programs on the floor."""
    dice, rng = layout.dice, layout.dice.rng
    for _ in range(dice.count(1, 4)):
        height = dice.between(1.25, 1.6)
        layout.against_wall([thing("picture", fixtures.picture(dice), rng)], height=height, gap=0.001)
    for support in [one for one in layout.things if one.kind in _TOPS]:
        for _ in range(dice.count(*_TOPS[support.kind])):
            layout.on_top(_small_thing(dice), support, margin=0.04)
    for kind, group, longest in (("plant", "plant", (0.5, 1.2)), ("otherfurniture", "assembly", (0.4, 0.8))):
        if dice.chance(0.6):
            pieces = scaled_to(_program(dice, group), dice.between(*longest))
            layout.against_wall([thing(kind, pieces, rng)], gap=0.06)


# kinds with a flat top -> fewest and most small things on it
_TOPS = {"table": (1, 4), "desk": (1, 3), "cabinet": (0, 3), "dresser": (0, 3), "night_stand": (0, 2)}


def _program(dice: Dice, group: str) -> Pieces:
    """Draw an object of a random program that has few faces."""
    while True:
        pieces = GROUPS[group].rule(Maker(dice, JOINTS))
        if sum(len(piece.solid.faces) for piece in pieces) <= _MOST_FACES:
            return pieces


def _small_thing(dice: Dice) -> Thing:
    """Make a mug, a laptop, a bag, a stack of books, a box or an object of a random program."""
    rng = dice.rng
    kind = dice.pick(("mug", "mug", "books", "books", "box", "bag", "laptop", "program"))
    if kind == "books":
        pieces, y = [], 0.0
        for _ in range(dice.count(1, 4)):
            size = dice.between(0.14, 0.22), dice.between(0.02, 0.045), dice.between(0.2, 0.28)
            color = dice.pick((palette.paint, palette.fabric, palette.dark))(dice)
            pieces.append(Piece(box(*size).turned("y", dice.between(-12, 12)).moved(y=y + size[1] / 2), color))
            y += size[1]
        return thing("clutter", pieces, rng)
    if kind == "box":
        pieces = [Piece(box(*rng.uniform(0.1, 0.3, 3)), palette.mixed(dice))]
    elif kind == "program":
        pieces = scaled_to(_program(dice, "assembly"), dice.between(0.12, 0.3))
    elif kind == "laptop":
        pieces = family_pieces("laptop", rng)
    else:
        longest = {"mug": (0.1, 0.14), "bag": (0.25, 0.4)}[kind]
        pieces = scaled_to(family_pieces(kind, rng), dice.between(*longest))
    return thing("clutter", pieces, rng)
