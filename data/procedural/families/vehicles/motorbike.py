"""Motorbikes: cruisers, sports bikes, dirt bikes, scooters. They ride towards -z."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import ring_z, smooth
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder, ellipsoid, lathe, loft
from data.procedural.sweeps import ring, rod, sheet, tube


def build_motorbike(dice: Dice) -> Assembly:
    bike = Assembly("motorbike")
    kind = dice.pick(("cruiser", "sport", "dirt", "scooter"), (3, 3, 2, 2))
    paint = dice.pick((palette.paint, palette.paint, palette.dark, palette.light))(dice)
    chrome, black = palette.metal(dice), palette.dark(dice)
    base = dice.between(1.2, 1.5) + (0.15 if kind == "cruiser" else 0.0)
    radius = dice.between(0.28, 0.34) * (0.75 if kind == "scooter" else 1.0)
    rake = dice.between(22, 34) if kind == "cruiser" else dice.between(18, 26)
    fat = {"dirt": 0.045, "scooter": 0.05}.get(kind, dice.between(0.05, 0.075))
    front, rear = -base / 2, base / 2
    for z, share in ((front, 1.0), (rear, dice.between(0.92, 1.05))):
        _add_wheel(bike, dice, radius * share, fat, z, chrome, black)
    top = (0.95 if kind == "dirt" else 0.82) * dice.between(0.95, 1.08)
    neck = np.array([0.0, top, front + np.tan(np.radians(rake)) * (top - radius) * 0.9])
    _add_fork(bike, dice, kind, radius, front, neck, chrome, paint)
    if kind == "scooter":
        _scooter_body(bike, dice, radius, neck, rear, paint, black)
    else:
        _frame(bike, dice, kind, radius, neck, rear, chrome, black, paint)
    return bike


def _add_wheel(bike, dice, radius, fat, z, chrome, black):
    place = {"y": radius, "z": z}
    bike.add("wheel", ring(radius - fat, fat, segments=28).moved(**place), color=black)
    hub = cylinder(radius * 0.2, 0.1).turned("z", 90).moved(0.05)
    bike.add("wheel", hub.moved(**place), color=chrome)
    if dice.chance(0.3):
        disc = cylinder(radius - fat, 0.03, segments=24).turned("z", 90).moved(0.015)
        bike.add("wheel", disc.moved(**place), color=chrome)
        return
    spokes, thin = dice.pick(((5, 0.02), (6, 0.018), (12, 0.007)))
    for angle in np.arange(spokes) * 360 / spokes:
        spoke = rod((0, 0, 0), (0, radius - fat, 0), thin).turned("x", angle)
        bike.add("wheel", spoke.moved(**place), color=chrome)


def _add_fork(bike, dice, kind, radius, front, neck, chrome, paint):
    """Fork and mudguard are frame; bar, grips and mirrors are the handle; the headlight is the light."""
    for x in (-0.09, 0.09):
        leg = rod((x, radius, front), (x, neck[1], neck[2]), 0.025)
        bike.add("frame", leg, color=chrome)
    guard_radius = radius * (1.35 if kind == "dirt" else 1.1)
    angle = np.radians(np.linspace(20, 140, 12))
    arc = np.stack([0 * angle, radius + guard_radius * np.sin(angle), front - guard_radius * np.cos(angle)], axis=-1)
    grid = np.stack([arc + (x, 0, 0) for x in (-0.07, 0.0, 0.07)])
    bike.add("frame", sheet(grid, 0.012), color=paint)
    rise = {"cruiser": dice.between(0.12, 0.35), "sport": -0.02, "dirt": 0.12, "scooter": 0.1}[kind]
    wide, back = dice.between(0.3, 0.42), dice.between(0.05, 0.2)
    x, y, z = neck
    corners = [(0.0, y + 0.03, z), (wide * 0.4, y + 0.03 + rise, z), (wide, y + rise, z + back)]
    path = smooth(corners, num_points=12)
    bike.add_pair("handle", tube(path, 0.016), color=chrome)
    grip = rod(tuple(path[-3]), tuple(path[-1]), 0.026)
    bike.add_pair("handle", grip, color=(0.1, 0.1, 0.1))
    if dice.chance(0.6):
        stalk = rod((wide * 0.7, y + rise, z + back * 0.4), (wide * 0.8, y + rise + 0.14, z), 0.008)
        mirror = ellipsoid(0.06, 0.045, 0.015).moved(wide * 0.8, y + rise + 0.15, z)
        bike.add_pair("handle", stalk, mirror, color=chrome)
    lamp = dice.between(0.07, 0.11)
    bulb = lathe([(0, 0), (lamp * 0.5, 0), (lamp, lamp), (0.9 * lamp, lamp * 1.15), (0, lamp * 1.3)], segments=16)
    bike.add("light", bulb.turned("x", -90).moved(y=y - 0.08, z=z - 0.06), color=(0.95, 0.93, 0.8))


def _frame(bike, dice, kind, radius, neck, rear, chrome, black, paint):
    low, waist = radius * 0.75, radius * 1.75
    seat_height = {"cruiser": 0.62, "sport": 0.74, "dirt": 0.82}[kind] * dice.between(0.95, 1.05)
    middle, y = 0.05, neck[1] - 0.08
    for x in (-0.07, 0.07):
        path = [(x, y, neck[2]), (x, low, neck[2] + 0.25), (x, low, middle + 0.25), (x, radius, rear)]
        bike.add("frame", tube(np.array(path), 0.022), color=black)
        bike.add("frame", rod((x, y, neck[2]), (x, seat_height - 0.05, middle + 0.2), 0.022), color=black)
        bike.add("frame", rod((x, seat_height - 0.05, middle + 0.2), (x, radius, rear), 0.02), color=black)
    engine = box(0.22, 0.3, 0.34).moved(y=low + 0.14, z=middle - 0.05)
    bike.add("frame", engine, color=chrome)
    for tilt in (-20, 25) if kind == "cruiser" else (10,):
        fins = cylinder(0.1, 0.22).turned("x", tilt).moved(y=low + 0.2, z=middle - 0.05)
        bike.add("frame", fins, color=palette.metal(dice))
    pipe = smooth(
        [
            (0.13, low + 0.2, middle - 0.15),
            (0.15, low, middle),
            (0.16, low + 0.03, rear * 0.6),
            (0.17, radius, rear + 0.2),
        ],
        num_points=16,
    )
    bike.add("frame", tube(pipe, np.linspace(0.025, 0.05, 16)), color=chrome)
    _tank_and_seat(bike, dice, kind, neck, seat_height, middle, rear, paint, black)
    _tail(bike, dice, kind, radius, waist, seat_height, rear, paint)
    if kind == "sport" or dice.chance(0.15):
        _fairing(bike, dice, neck, low, paint)


def _tank_and_seat(bike, dice, kind, neck, seat_height, middle, rear, paint, black):
    start, end = neck[2] + 0.08, middle + 0.12
    level, fat = (neck[1] + seat_height) / 2 + 0.04, dice.between(0.24, 0.34) * (0.75 if kind == "dirt" else 1)
    rings = []
    for t, wide, tall in ((0, 0.45, 0.5), (0.2, 0.85, 0.95), (0.5, 1, 1), (0.8, 0.7, 0.75), (1, 0.35, 0.35)):
        drop = (neck[1] - seat_height) * (t - 0.5) * 0.7
        rings.append(ring_z(fat * wide, 0.24 * tall, start + t * (end - start), lift=level - drop, power=2.5))
    bike.add("tank", loft(np.stack(rings)), color=paint)
    long = {"cruiser": 0.6, "sport": 0.5, "dirt": 0.65}[kind]
    kick = {"cruiser": 0.03, "sport": 0.14, "dirt": 0.04}[kind]
    rings = []
    for t, wide in ((0, 0.5), (0.25, 0.9), (0.6, 1), (0.9, 0.75), (1, 0.45)):
        z = end - 0.05 + t * long
        lift = seat_height + kick * t**2 - (0.05 * np.sin(np.pi * t) if kind == "cruiser" else 0)
        rings.append(ring_z(dice.between(0.22, 0.28) * wide, 0.1, z, lift=lift, power=3))
    bike.add("seat", loft(np.stack(rings)), color=black)


def _tail(bike, dice, kind, radius, waist, seat_height, rear, paint):
    reach = radius * 1.12
    angle = np.radians(np.linspace(30, 150 if kind == "cruiser" else 110, 12))
    arc = np.stack([0 * angle, radius + reach * np.sin(angle), rear + reach * np.cos(angle)], axis=-1)
    grid = np.stack([arc + (x, 0, 0) for x in (-0.09, 0.0, 0.09)])
    bike.add("frame", sheet(grid, 0.012), color=paint)
    if dice.chance(0.6):
        bike.add(
            "light", ellipsoid(0.05, 0.03, 0.03).moved(y=radius * 1.9, z=rear + radius * 0.9), color=(0.7, 0.1, 0.1)
        )
    if kind == "cruiser" and dice.chance(0.4):
        pannier = box(0.14, 0.24, 0.36).moved(0.22, seat_height - 0.12, rear)
        bike.add_pair("frame", pannier, color=palette.wood(dice))


def _fairing(bike, dice, neck, low, paint):
    """A shell from the windscreen down both sides."""
    angle = np.radians(np.linspace(-80, 80, 15))
    rows = []
    for t, wide, back in ((0, 0.16, 0.1), (0.3, 0.22, 0.02), (0.6, 0.22, 0.12), (1, 0.17, 0.3)):
        y = neck[1] + 0.1 + (low - neck[1]) * t
        z = neck[2] - 0.18 + back + 0.35 * (1 - np.cos(angle))
        rows.append(np.stack([wide * np.sin(angle), np.full(15, y), z], axis=-1))
    bike.add("frame", sheet(np.stack(rows), 0.015), color=paint)


def _scooter_body(bike, dice, radius, neck, rear, paint, black):
    floor = radius * dice.between(0.75, 0.95)
    shield = np.stack(
        [
            np.stack([w * np.linspace(-1, 1, 9), np.full(9, y), z + 0.1 * np.linspace(-1, 1, 9) ** 2], axis=-1)
            for y, w, z in (
                (floor, 0.17, neck[2] + 0.16),
                (neck[1] * 0.7, 0.22, neck[2] + 0.06),
                (neck[1], 0.16, neck[2] + 0.02),
            )
        ]
    )
    bike.add("frame", sheet(shield, 0.03), color=paint)
    board = box(0.3, 0.06, rear - neck[2] - 0.3).moved(y=floor, z=(rear + neck[2]) / 2 - 0.05)
    bike.add("frame", board, color=black)
    seat_height = dice.between(0.68, 0.78)
    start, end = 0.0, rear + radius * dice.between(0.7, 1.0)
    rings = []
    for t, wide, low in ((0, 0.6, 0.1), (0.15, 0.9, 0.05), (0.6, 1, 0.25), (1, 0.5, 0.6)):
        bottom = floor + (seat_height - floor) * low
        z, tall = start + t * (end - start), seat_height - 0.04 - bottom
        rings.append(ring_z(0.34 * wide, tall, z, lift=bottom + tall / 2, power=4))
    bike.add("tank", loft(np.stack(rings)), color=paint)
    bike.add("seat", _cushion(dice, seat_height, start, end - 0.1), color=black)
    bike.add("light", ellipsoid(0.06, 0.03, 0.03).moved(y=seat_height * 0.75, z=end), color=(0.7, 0.1, 0.1))
    bike.add("frame", rod((0.08, radius, rear), (0.08, seat_height * 0.7, rear - 0.1), 0.02), color=black)


def _cushion(dice, level, start, end) -> Solid:
    rings = []
    for t, wide in ((0, 0.5), (0.2, 0.9), (0.7, 1), (1, 0.6)):
        z = start + t * (end - start)
        rings.append(ring_z(0.28 * wide, 0.09, z, lift=level + 0.04 * t, power=3))
    return loft(np.stack(rings))
