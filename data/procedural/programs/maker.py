"""The maker of one object: its draws, its few colours, and parts of any kind on demand, one inside another."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from data.procedural import palette
from data.procedural.dice import Dice
from data.procedural.programs.blocks import BLOCKS
from data.procedural.programs.deform import deformed
from data.procedural.programs.pieces import Pieces, fitted, hit, mapped, pointing, turned

Rule = Callable[["Maker", np.ndarray, int], Pieces]  # (maker, size (3,), depth) -> a part of about that size


class Maker:
    """Draws of one object.

    Attributes:
        dice: source of all randomness.
        colors: the object's one to five colours.
    """

    def __init__(self, dice: Dice, joints: Mapping[str, tuple[Rule, float]]):
        """
        Args:
            joints: rules by which a part is made of smaller ones, with weights.
        """
        self.dice = dice
        self.colors = [palette.mixed(dice) for _ in range(dice.count(1, 5))]
        self._joints = joints

    def color(self) -> palette.Color:
        """Pick one of the object's colours, the first most often."""
        return self.colors[min(int(self.dice.rng.geometric(0.45)) - 1, len(self.colors) - 1)]

    def sizes(self, count: int, low: float = 0.2, high: float = 1.0) -> np.ndarray:
        """Draw lengths, uniform in their logarithm. Returns: (count,)."""
        return np.exp(self.dice.rng.uniform(np.log(low), np.log(high), count))

    def block(self, size: Sequence[float], kind: str | None = None) -> Pieces:
        """Make a part of one solid or surface, of this size; kind is one of BLOCKS, drawn if None."""
        kinds, weights = tuple(BLOCKS), [weight for _, weight in BLOCKS.values()]
        make, _ = BLOCKS[kind or self.dice.pick(kinds, weights)]
        pieces = make(self.dice, self.color())
        if kind is None and self.dice.chance(0.35):  # along another axis, such as a lying cylinder
            pieces = turned(pieces, self.dice.pick(("x", "z")), 90)
        if self.dice.chance(0.12):
            pieces = deformed(pieces, self.dice)
        return fitted(pieces, size)

    def part(self, size: Sequence[float], depth: int) -> Pieces:
        """Make a part of this size: of smaller parts, the more likely the larger `depth`, or one block."""
        if depth <= 0 or not self.dice.chance(0.55):
            return self.block(size)
        names, weights = tuple(self._joints), [weight for _, weight in self._joints.values()]
        rule, _ = self._joints[self.dice.pick(names, weights)]
        return fitted(rule(self, np.asarray(size, dtype=np.float64), depth - 1), size)

    def attached(
        self,
        body: Pieces,
        child: Pieces,
        origin: Sequence[float],
        direction: Sequence[float],
        sink: float,
        roll_deg: float = 0.0,
    ) -> Pieces:
        """Set a part that stands on y = 0 onto a body, where a ray from `origin` against `direction` meets the body.

        Args:
            direction: in which the child then points.
            sink: how deep the child goes into the body.
            roll_deg: by which it is turned about that direction.
        Returns:
            The child in its place; nothing if the ray meets no surface.
        """
        point = hit(body, origin, -np.asarray(direction, dtype=np.float64))
        if point is None:
            return []
        unit = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
        return mapped(child, pointing(direction, roll_deg), point - sink * unit)
