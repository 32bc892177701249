"""Augmentation of a scene together with its boxes and votes. Metres, z up.

Source: the data sets of Qi et al. 2019 (VoteNet), arXiv:1904.09664: flips and angles.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes, box_axes
from datasets.detection.votes import Votes


class SceneMap(NamedTuple):
    """A linear map (3, 3) of coordinates, made of mirrors, a rotation about z and a scale `factor`."""

    matrix: np.ndarray
    factor: float


@dataclass(frozen=True)
class SceneAugment:
    """Mirrors, a rotation about the vertical axis and one scale for all axes, drawn anew for each scene.

    Args:
        flips: axes, out of "x" and "y", whose direction is reversed with probability 1/2 each.
        max_angle: bound of the rotation in degrees, to either side, >= 0.
        low, high: bounds of the scale, 0 < low <= high.
        is_aligned: boxes stay aligned with the axes, and so grow around what they held; else they turn along.
    Raises:
        ValueError: a value outside these ranges.
    """

    flips: str = "xy"
    max_angle: float = 5.0
    low: float = 0.9
    high: float = 1.1
    is_aligned: bool = True

    def __post_init__(self) -> None:
        if not set(self.flips) <= {"x", "y"}:
            raise ValueError(f"flips {self.flips!r}: expected axes out of x and y")
        if not (0 <= self.max_angle < math.inf and 0 < self.low <= self.high < math.inf):
            raise ValueError(
                f"max_angle {self.max_angle}, low {self.low}, high {self.high}: expected an angle of at least 0 "
                "degrees and 0 < low <= high"
            )

    def draw(self, rng: np.random.Generator) -> SceneMap:
        """Draw the map of one scene."""
        signs = [-1.0 if rng.random() < 0.5 and axis in self.flips else 1.0 for axis in "xy"]
        angle = math.radians(rng.uniform(-self.max_angle, self.max_angle))
        factor = rng.uniform(self.low, self.high)
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return SceneMap(factor * rotation * [*signs, 1.0], factor)

    def __call__(
        self, points: np.ndarray, boxes: SceneBoxes, votes: Votes, rng: np.random.Generator
    ) -> tuple[np.ndarray, SceneBoxes, Votes]:
        """Augment a scene into new arrays.

        Args:
            points: (N, 3) coordinates. What depends on them, such as the height over the floor, is computed afterwards.
        """
        drawn = self.draw(rng)
        return (
            moved(points, drawn),
            moved_boxes(boxes, drawn, self.is_aligned),
            Votes(moved(votes.offset, drawn), votes.is_voting),
        )


# ScanNet's boxes are aligned, SUN RGB-D's turned. Published scales: none for the first, 0.85 to 1.15 for the second.
ALIGNED_AUGMENT = SceneAugment()
ORIENTED_AUGMENT = SceneAugment("x", 30.0, is_aligned=False)


def moved(vectors: np.ndarray, drawn: SceneMap) -> np.ndarray:
    """Map points or offsets. Shape: (..., 3) -> (..., 3) float32."""
    return (vectors @ drawn.matrix.T).astype(np.float32)


def moved_boxes(boxes: SceneBoxes, drawn: SceneMap, is_aligned: bool) -> SceneBoxes:
    """Map boxes: turned ones exactly, aligned ones to the smallest aligned box around what the map makes of them."""
    centre = moved(boxes.centre, drawn)
    if is_aligned:
        return boxes._replace(centre=centre, size=moved(boxes.size, drawn._replace(matrix=np.abs(drawn.matrix))))
    first = box_axes(boxes.heading)[:, 0] @ drawn.matrix[:2, :2].T  # (K, 2)
    heading = np.arctan2(-first[:, 1], first[:, 0]).astype(np.float32)
    return boxes._replace(centre=centre, size=(boxes.size * drawn.factor).astype(np.float32), heading=heading)
