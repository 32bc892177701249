"""The objects of random programs by number: each is a function of (seed, number) alone."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import trimesh

from data.procedural import palette
from data.procedural.dice import Dice
from data.procedural.programs.deform import deformed
from data.procedural.programs.joints import JOINTS
from data.procedural.programs.maker import Maker
from data.procedural.programs.pieces import Pieces, bounds, mapped, moved, pointing
from data.procedural.programs.rules.built import assembly, building, canopy, plate, rack, scatter, wire
from data.procedural.programs.rules.carriers import hull, stick, vehicle
from data.procedural.programs.rules.organic import creature, lump, plant
from data.procedural.solids import concatenate


class Group(NamedTuple):
    """Objects of one rule.

    weight: how often it is taken.
    flat: axes along which an object may be flattened as a whole; of vehicles x alone, so that wheels stay round.
    standing: share of the objects that stand as made, y up.
    """

    rule: Callable[[Maker], Pieces]
    weight: float
    flat: str = "xyz"
    standing: float = 1.0


GROUPS: dict[str, Group] = {
    "assembly": Group(assembly, 5, standing=0.85),
    "building": Group(building, 2.5, "xz"),
    "canopy": Group(canopy, 1),
    "creature": Group(creature, 3, "xy", standing=0.95),
    "hull": Group(hull, 3, "xy", standing=0.95),
    "lump": Group(lump, 1.5, standing=0.7),
    "plant": Group(plant, 1.5, "xz"),
    "plate": Group(plate, 1.5, standing=0.9),
    "rack": Group(rack, 2, "xz"),
    "scatter": Group(scatter, 2, standing=0.0),
    "stick": Group(stick, 2.5, "x", standing=0.8),
    "vehicle": Group(vehicle, 2, "x"),
    "wire": Group(wire, 1, standing=0.5),
}
_FLATTENED, _FLATNESS = 0.6, (0.1, 0.8)  # share of the objects that are flattened along an axis, and to what


class Program(NamedTuple):
    """One object: its group, whether it stands, y up, and its coloured mesh, box centre 0 and diagonal 1."""

    group: str
    stands: bool
    mesh: trimesh.Trimesh


def program_rng(seed: int, number: int, purpose: int = 0) -> np.random.Generator:
    """Create the generator of an object; purpose 0 is its shape, others give independent streams, e.g. to sample it."""
    return np.random.default_rng((seed, number, purpose))


def group_of(seed: int, number: int) -> str:
    """Return the group of an object, without making it."""
    return _pick_group(Dice(program_rng(seed, number)))


def make_program(seed: int, number: int) -> Program:
    """Make the object of this number, >= 0."""
    dice = Dice(program_rng(seed, number))
    name = _pick_group(dice)
    group = GROUPS[name]
    pieces = group.rule(Maker(dice, JOINTS))
    if dice.chance(0.2):
        pieces = deformed(pieces, dice)
    stretch = np.exp(dice.rng.normal(0, 0.15, 3))
    if dice.chance(_FLATTENED):
        stretch["xyz".index(dice.pick(group.flat))] *= np.exp(dice.between(*np.log(_FLATNESS)))
    pieces = mapped(pieces, np.diag(stretch))
    stands = dice.chance(group.standing)
    if not stands:
        pieces = mapped(pieces, pointing(dice.rng.normal(size=3), dice.between(0, 360)))
    low, high = bounds(pieces)
    pieces = moved(pieces, *(-(low + high) / 2))
    pieces = mapped(pieces, np.eye(3) / np.linalg.norm(high - low))
    whole = concatenate([solid for solid, _ in pieces])
    colors = np.concatenate([palette.mottled(solid.vertices, color, dice.rng) for solid, color in pieces])
    return Program(name, stands, trimesh.Trimesh(whole.vertices, whole.faces, vertex_colors=colors, process=False))


def _pick_group(dice: Dice) -> str:
    return dice.pick(tuple(GROUPS), [group.weight for group in GROUPS.values()])
