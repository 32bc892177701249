"""Skateboards: popsicle decks with kicked ends, longboards, pintails, old-school and penny boards; along z."""

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.dice import Dice
from data.procedural.solids import Solid, box, cylinder
from data.procedural.sweeps import rod, sheet


def build_skateboard(dice: Dice) -> Assembly:
    board = Assembly("skateboard")
    kind = dice.pick(("popsicle", "longboard", "pintail", "old_school"), (4, 2, 2, 2))
    length = {"popsicle": dice.between(0.72, 0.85), "old_school": dice.between(0.55, 0.78)}.get(
        kind, dice.between(0.9, 1.25)
    )
    width = dice.between(0.18, 0.26)
    ground = dice.between(0.09, 0.14)
    paint = dice.pick((palette.wood, palette.paint, palette.paint, palette.dark))(dice)
    board.add("deck", _deck(dice, kind, length, width).moved(y=ground), color=paint)
    _add_trucks(board, dice, kind, length, width, ground)
    return board


def _half_width(kind: str, t: np.ndarray) -> np.ndarray:
    """Share of the full half width along the deck, t from -1 (nose) to 1 (tail)."""
    if kind == "pintail":
        return np.sqrt(np.maximum(1 - np.abs(t) ** 2.2, 0)) * (1 - 0.25 * np.maximum(t, 0))
    power = {"popsicle": 7, "longboard": 4, "old_school": 5}[kind]
    taper = 1 - 0.2 * np.maximum(-t, 0) if kind == "old_school" else 1.0
    waist = 1 - 0.12 * np.exp(-(((np.abs(t) - 0.62) / 0.12) ** 2)) if kind == "longboard" else 1.0
    return np.maximum(1 - np.abs(t) ** power, 0) ** 0.5 * taper * waist


def _deck(dice, kind, length, width) -> Solid:
    t = -np.cos(np.linspace(0.05, np.pi - 0.05, 29))
    nose, tail, camber = {
        "popsicle": (dice.between(0.035, 0.07), dice.between(0.035, 0.07), 0.0),
        "longboard": (0.0, 0.0, dice.between(-0.03, 0.03)),
        "pintail": (0.0, dice.between(0.0, 0.03), dice.between(-0.03, 0.02)),
        "old_school": (0.0, dice.between(0.04, 0.08), 0.0),
    }[kind]
    kick = np.maximum(np.abs(t) - 0.62, 0) / 0.38
    lift = np.where(t < 0, nose, tail) * kick**1.5 + camber * (1 - t**2)
    dish = dice.between(0.0, 0.02)
    across = np.linspace(-1, 1, 9)
    half = _half_width(kind, t) * width / 2
    grid = np.stack(
        [
            across[None] * half[:, None],
            lift[:, None] + dish * across[None] ** 2,
            np.repeat(t[:, None] * length / 2, 9, axis=1),
        ],
        axis=-1,
    )
    return sheet(grid, dice.between(0.012, 0.022))


def _add_trucks(board, dice, kind, length, width, ground):
    at = length * (0.28 if kind == "popsicle" else dice.between(0.3, 0.38))
    radius = dice.between(0.026, 0.042)
    axle, thick = width * dice.between(0.36, 0.5), dice.between(0.03, 0.05)
    metal = dice.pick((palette.metal, palette.dark, palette.metal))(dice)
    rubber = dice.pick((palette.light, palette.paint, palette.dark))(dice)
    riser, bolts = dice.chance(0.4), dice.chance(0.5)
    for z, face in ((-at, 1), (at, -1)):
        if riser:
            board.add("truck", box(0.055, 0.012, 0.085).moved(y=ground - 0.006, z=z), color=rubber)
        for x, along in ((0.02, 0.03), (0.02, -0.03)) if bolts else ():
            bolt = cylinder(0.006, 0.012, segments=8).moved(x, ground + 0.004, z + along)
            board.add_pair("truck", bolt, color=metal)
        board.add("truck", box(0.06, 0.012, 0.09).moved(y=ground - 0.01, z=z), color=metal)
        board.add("truck", rod((0, ground - 0.01, z + face * 0.03), (0, radius, z), (0.026, 0.016)), color=metal)
        board.add("truck", rod((-axle, radius, z), (axle, radius, z), (0.014, 0.014)), color=metal)
        board.add("truck", box(axle * 1.2, 0.03, 0.035).moved(y=radius + 0.008, z=z), color=metal)
        wheel = cylinder(radius, thick, segments=20).turned("z", -90).moved(axle - thick / 2, radius, z)
        board.add_pair("wheel", wheel, color=rubber)
