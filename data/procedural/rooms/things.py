"""Things of a room: coloured meshes in metres, z up, that stand or hang at a place."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.procedural import palette
from data.procedural.dice import Dice
from data.procedural.families import FAMILIES
from data.procedural.programs.pieces import Piece, Pieces, bounds, fitted, mapped
from data.procedural.solids import concatenate, rotation

_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # from y up with front -z to z up with front +y


class Thing(NamedTuple):
    """One object of a room.

    `kind` is a key of `room_classes.KINDS`. vertices (V, 3) float64, faces (F, 3) int64, colours (V, 3) uint8. `yaw`
    in degrees, anticlockwise seen from above: 0 faces +y. `gap` is kept free in front of it by everything else.
    """

    kind: str
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    yaw: float = 0.0
    gap: float = 0.0

    @property
    def low(self) -> np.ndarray:
        return self.vertices.min(axis=0)

    @property
    def high(self) -> np.ndarray:
        return self.vertices.max(axis=0)

    @property
    def own_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Centre and edge lengths (3,) of the box that turns with the thing: its width, its depth, its height."""
        to_room = rotation("z", self.yaw)
        own = self.vertices @ to_room
        low, high = own.min(axis=0), own.max(axis=0)
        return to_room @ ((low + high) / 2), high - low

    def turned(self, angle_deg: float) -> "Thing":
        """Turn about the vertical axis through the origin."""
        return self._replace(vertices=self.vertices @ rotation("z", angle_deg).T, yaw=(self.yaw + angle_deg) % 360)

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Thing":
        return self._replace(vertices=self.vertices + (x, y, z))


def thing(kind: str, pieces: Pieces, rng: np.random.Generator, *, gap: float = 0.0) -> Thing:
    """Make a thing of pieces in metres, y up and front -z; it stands on z = 0, its box centred at x = y = 0."""
    low, high = bounds(pieces)
    foot = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    standing = mapped(pieces, _Z_UP, -_Z_UP @ foot)
    whole = concatenate([solid for solid, _ in standing])
    colours = np.concatenate([palette.mottled(solid.vertices, color, rng) for solid, color in standing])
    return Thing(kind, whole.vertices, whole.faces, colours, gap=gap)


def family_pieces(category: str, rng: np.random.Generator, wanted: Sequence[str] = ()) -> Pieces:
    """Draw an object of a family, in the units of its builder.

    Args:
        wanted: kinds, of which the first word that the family picks must be one; none takes any.
    """
    while True:
        dice = Dice(rng)
        pieces = [Piece(*piece) for piece in FAMILIES[category](dice).pieces]
        if not wanted or dice.words[0] in wanted:
            return pieces


def scaled_to(pieces: Pieces, longest: float) -> Pieces:
    """Scale pieces in proportion, so that their longest extent is `longest` metres."""
    low, high = bounds(pieces)
    return fitted(pieces, (high - low) * longest / (high - low).max())
