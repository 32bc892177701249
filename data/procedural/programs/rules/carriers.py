"""Objects that carry: bodies lofted along z with fins and rotors, boxes on wheels, sticks with heads."""

import numpy as np

from data.procedural.curves import interpolate, ring_z
from data.procedural.programs.maker import Maker
from data.procedural.programs.pieces import Piece, Pieces, around, bounds, moved, turned, with_mirror
from data.procedural.solids import loft
from data.procedural.sweeps import rod


def hull(maker: Maker) -> Pieces:
    """A body of changing section along z with mirrored fins and parts on it; lying, or on its tail."""
    dice, at = maker.dice, np.linspace(0, 1, 22)
    rows, power = dice.count(3, 6), dice.pick((2.0, 2.0, 2.6, 4.0, 10.0))
    wide, tall = maker.sizes(2, 0.05, 0.35)
    ends = dice.pick(((0.02, 0.02), (0.02, 0.5), (0.3, 0.8), (0.9, 0.9)))
    middle = [(place, dice.between(0.5, 1), dice.between(0.5, 1)) for place in np.linspace(0, 1, rows)[1:-1]]
    table = [(0, ends[0], ends[0]), *middle, (1, ends[1], ends[1])]
    lift = dice.pick((0.0, 0.0, 0.5)) * tall
    shape = interpolate(table, at) ** dice.pick((0.5, 1.0)) * (wide, tall)
    rings = [ring_z(w, h, z, lift=lift * (1 - h / tall), power=power) for (w, h), z in zip(shape, at - 0.5)]
    body = [Piece(loft(np.stack(rings)), maker.color())]
    found = list(body)
    for _ in range(dice.count(0, 3)):
        found += _fins(maker, wide, tall)
    for _ in range(dice.count(0, 4)):  # on the back: cabin, mast, tower
        size = maker.sizes(3, 0.05, 0.3) * (wide / 0.25, 1, 1)
        child = maker.part(size, 1)
        found += maker.attached(body, child, (0, 2, dice.between(-0.4, 0.4)), (0, 1, 0), 0.3 * size[1])
    if dice.chance(0.3):
        blades = maker.block(
            (dice.between(0.02, 0.08), dice.between(0.08, 0.35), 0.02), dice.pick(("box", "column", "panel"))
        )
        rotor = around(blades, dice.count(2, 6), axis="z")
        where = dice.pick(((0.0, 0.0, -0.5), (0.0, 0.0, 0.5), (0.0, tall * 0.8, 0.0)))
        found += moved(turned(rotor, "x", 90) if where[1] else rotor, *where)
        found.append(Piece(rod((0, 0, 0.8 * where[2]), where, 0.012), maker.color()))
    return turned(found, "x", -90) if dice.chance(0.25) else found


def _fins(maker: Maker, wide: float, tall: float) -> Pieces:
    """Wings, keels, engines or fins around the body."""
    dice, place = maker.dice, maker.dice.between(-0.4, 0.45)
    reach, chord = dice.between(0.05, 0.5), dice.between(0.06, 0.45)
    kind = dice.pick(("pair", "keel", "pods", "ring"), (4, 2, 1, 1))
    if kind == "pods":
        pod = maker.part((dice.between(0.04, 0.12), dice.between(0.04, 0.12), dice.between(0.1, 0.4)), 0)
        where = np.array([wide * 0.5 + dice.between(0, 0.15), dice.between(-0.7, 0.2) * tall, place])
        strut = Piece(rod((0, 0, place), where + (0, bounds(pod)[1][1] / 2, 0), 0.012), maker.color())
        return with_mirror([*moved(pod, *where), strut])
    blade = _blade(maker, reach + 0.3 * wide, chord)
    if kind == "keel":
        return (
            moved(blade, 0, 0.2 * tall, place)
            if dice.chance(0.8)
            else moved(turned(blade, "z", 180), 0, 0.3 * tall, place)
        )
    if kind == "ring":
        return moved(around(moved(blade, y=0.2 * min(wide, tall)), dice.count(3, 6), axis="z"), z=place)
    lateral = turned(blade, "z", -90 + dice.between(-15, 35))
    return with_mirror(moved(lateral, 0.15 * wide, dice.between(-0.4, 0.4) * tall, place))


def _blade(maker: Maker, reach: float, chord: float) -> Pieces:
    """A thin swept and tapered plate that stands on y = 0, its chord along z."""
    dice = maker.dice
    thick, sweep, tip = dice.between(0.006, 0.03), dice.between(-0.1, 0.6) * reach, dice.between(0.1, 1) * chord
    low = ring_z(thick, 1, 0, power=2)[:, :2] * (1, chord)
    high = ring_z(thick * 0.6, 1, 0, power=2)[:, :2] * (1, tip) + (0, sweep)
    rings = [
        np.stack([flat[:, 0], np.full(len(flat), y), flat[:, 1]], axis=1) for flat, y in ((low, 0.0), (high, reach))
    ]
    return [Piece(loft(np.stack(rings)), maker.color())]


def vehicle(maker: Maker) -> Pieces:
    """Boxes and other parts in a row on pairs of wheels, tracks or runners."""
    dice = maker.dice
    long, wide = 1.0, dice.between(0.12, 0.55)
    radius = dice.between(0.04, 0.22)
    chassis = dice.between(0.03, 0.15)
    found = moved(maker.block((wide, chassis, long), dice.pick(("box", "column", "cut", "superellipsoid"))), y=radius)
    place, tall = -long / 2, dice.between(0.1, 0.5)
    while place < long / 2 - 0.1:
        each = min(dice.between(0.15, 0.7), long / 2 - place)
        if dice.chance(0.8):
            size = (wide * dice.between(0.6, 1), tall * dice.between(0.4, 1), each)
            found += moved(maker.part(size, 2), y=radius + chassis * 0.9, z=place + each / 2)
        place += each
    if dice.chance(0.15):
        track = maker.block((wide * 0.25, 2 * radius, long), dice.pick(("column", "superellipsoid", "box")))
        return found + with_mirror(moved(track, wide / 2))
    wheel = _wheel(maker, radius, wide * dice.between(0.1, 0.35))
    single = wide < 0.2
    for axle in np.linspace(-1, 1, dice.count(2, 4)) * (long / 2 - radius * 1.1):
        found += moved(maker.block((wide, 0.3 * radius, 0.3 * radius), "box"), 0, 0.9 * radius, axle)
        pair = moved(wheel, wide / 2, radius, axle)
        found += moved(wheel, 0, radius, axle) if single else with_mirror(pair)
    return found


def _wheel(maker: Maker, radius: float, thick: float) -> Pieces:
    """A disc or spoked wheel about the x axis through the origin."""
    dice = maker.dice
    kind = dice.pick(("disc", "spoked", "hoop"), (3, 1, 1))
    if kind == "disc":
        wheel = maker.block((2 * radius, thick, 2 * radius), dice.pick(("vessel", "ellipsoid", "superellipsoid")))
    else:
        wheel = maker.block((2 * radius, min(thick, radius * 0.4), 2 * radius), "hoop")
        if kind == "spoked":
            spoke = maker.block((radius * 0.06, radius, radius * 0.06), "box")
            wheel += moved(around(turned(spoke, "z", -90), dice.count(3, 9)), y=bounds(wheel)[1][1] / 2)
    return turned(moved(wheel, y=-bounds(wheel)[1][1] / 2), "z", 90)


def stick(maker: Maker) -> Pieces:
    """Segments along an axis, of different sections, with crosspieces and a head: tools, weapons, bottles."""
    dice, place = maker.dice, 0.0
    found: Pieces = []
    for _ in range(dice.count(2, 5)):
        long, wide = dice.between(0.08, 0.6), maker.sizes(1, 0.012, 0.2)[0]
        deep = wide * dice.pick((1.0, dice.between(0.1, 1)))
        found += moved(
            maker.block((wide, long, deep), dice.pick(("column", "column", "box", "cut", "superellipsoid", "panel"))),
            y=place,
        )
        place += long * 0.97
        if dice.chance(0.3):
            guard = maker.block(
                (dice.between(0.1, 0.5), 0.05, dice.between(0.03, 0.2)),
                dice.pick(("box", "column", "cut", "ellipsoid")),
            )
            found += moved(guard, y=place - 0.03)
    if dice.chance(0.6):
        head = maker.part(maker.sizes(3, 0.04, 0.4), 2)
        found += moved(head, dice.pick((0.0, 0.0, bounds(head)[1][0] * 0.6)), place - 0.02)
        place += bounds(head)[1][1]
    body = list(found)
    for _ in range(dice.count(0, 3)):  # handles, triggers, hooks, on one side
        child = maker.block(maker.sizes(3, 0.03, 0.2), dice.pick(("column", "hoop", "horn", "box", "panel")))
        found += maker.attached(body, child, (0, dice.between(0.1, 0.9) * place, 3), (0, 0, 1), 0.01)
    return found if dice.chance(0.5) else turned(found, "x", 90)
