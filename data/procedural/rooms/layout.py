"""Placement of things in a room by rejection: no box of one overlaps that of another, all lie within the walls."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from data.procedural.dice import Dice
from data.procedural.rooms.things import Thing

_TRIES = 40  # places tried for a thing before it is left out
_CLEARANCE_M = 0.02
_QUARTERS = (0, 90, 180, 270)
_ABOVE = 0.002  # between a thing and what it stands on


class Layout:
    """The things of a room of the given size (x, y, z); its walls are the faces of the box from the origin.

    Attributes:
        things: all that were placed, in order.
    """

    def __init__(self, size: np.ndarray, dice: Dice) -> None:
        self.size = np.asarray(size, dtype=np.float64)
        self.dice = dice
        self.things: list[Thing] = []
        self._taken: list[tuple[np.ndarray, np.ndarray]] = []

    def fits(self, things: list[Thing]) -> bool:
        """Whether the boxes of things, with a clearance and the gaps before them, are apart, free and inside."""
        if any(overlap(one, other) for one, other in combinations(things, 2)):
            return False
        return all(self._is_free(*box) for one in things for box in _boxes(one, _CLEARANCE_M))

    def _is_free(self, low: np.ndarray, high: np.ndarray) -> bool:
        inside = (low >= -_CLEARANCE_M - 1e-9).all() and (high <= self.size + _CLEARANCE_M + 1e-9).all()
        return bool(inside) and not any((low < top).all() and (high > bottom).all() for bottom, top in self._taken)

    def add(self, things: list[Thing]) -> None:
        """Put things where they are."""
        self.things += things
        self._taken += [box for one in things for box in _boxes(one, 0.0)]

    def keep_free(self, low: np.ndarray, high: np.ndarray) -> None:
        """Let no later thing into a box."""
        self._taken.append((np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)))

    def against_wall(self, group: list[Thing], *, height: float = 0.0, gap: float = 0.03) -> bool:
        """Put a group with its back, the side of lowest y, at a wall; return whether there was a place.

        Args:
            height: of its lowest point above the floor.
            gap: to the wall.
        """
        for _ in range(_TRIES):
            angle = self.dice.pick(_QUARTERS)
            placed = [one.turned(angle) for one in group]
            low, high = group_bounds(placed)
            place = self.dice.rng.uniform(size=3) * (self.size - (high - low)) - low
            axis, is_far = {0: (1, False), 90: (0, True), 180: (1, True), 270: (0, False)}[angle]
            place[axis] = self.size[axis] - gap - high[axis] if is_far else gap - low[axis]
            place[2] = height - low[2]
            placed = [one.moved(*place) for one in placed]
            if self.fits(placed):
                self.add(placed)
                return True
        return False

    def on_floor(self, group: list[Thing], *, angles: Sequence[float] = _QUARTERS, middle: float = 1.0) -> bool:
        """Put a group anywhere on the floor; `middle` < 1 keeps its centre to that share of the floor."""
        for _ in range(_TRIES):
            angle = self.dice.pick(angles)
            placed = [one.turned(angle) for one in group]
            low, high = group_bounds(placed)
            free = (self.size - (high - low)) * (1, 1, 0)
            place = free / 2 + free * middle * (self.dice.rng.uniform(size=3) - 0.5) - low
            placed = [one.moved(*place) for one in placed]
            if self.fits(placed):
                self.add(placed)
                return True
        return False

    def on_top(self, one: Thing, support: Thing, *, margin: float) -> bool:
        """Put a thing on the top of another, within its footprint less a margin on each side, in metres."""
        low, high = support.low + margin, support.high - margin
        for _ in range(_TRIES // 2):
            turned = one.turned(self.dice.pick((support.yaw, support.yaw + 180)) + self.dice.between(-25, 25))
            room = (high - low) - (turned.high - turned.low)
            if (room[:2] < 0).any():
                return False
            place = low + room * self.dice.rng.uniform(size=3) - turned.low
            place[2] = support.high[2] + _ABOVE - turned.low[2]
            placed = turned.moved(*place)
            if self.fits_on_top(placed):
                self.add([placed])
                return True
        return False

    def fits_on_top(self, one: Thing) -> bool:
        """Whether the very box of a thing, without clearance, is free and inside."""
        return self._is_free(one.low, one.high)

    def hang(self, one: Thing, x: float, y: float) -> bool:
        """Hang a thing from the ceiling above (x, y)."""
        placed = one.moved(x, y, self.size[2] - one.high[2] - _ABOVE)
        if not self.fits([placed]):
            return False
        self.add([placed])
        return True


def overlap(one: Thing, other: Thing) -> bool:
    """Whether the boxes of two things overlap."""
    return bool((one.low < other.high).all() and (other.low < one.high).all())


def group_bounds(things: list[Thing]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest coordinates (3,) of several things."""
    return np.min([one.low for one in things], axis=0), np.max([one.high for one in things], axis=0)


def _boxes(one: Thing, clearance: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the box of a thing, widened sidewards, and the box of the gap before it if there is one."""
    wider = np.array([clearance, clearance, 0])
    low, high = one.low, one.high
    boxes = [(low - wider, high + wider)]
    if one.gap:
        ahead = np.rint([-np.sin(np.radians(one.yaw)), np.cos(np.radians(one.yaw)), 0]) * one.gap
        boxes.append((np.minimum(low, low + ahead), np.maximum(high, high + ahead)))
    return boxes
