"""Which points of a cloud are seen at which places of its views: exact pairs of pixels and points.

A place is stored in 1/65536 of a view's height and width, so that one table gives the pairs of a feature map of any
size: cell `place * size >> 16`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

STEPS = 1 << 16  # places along each side of a view


class PixelPairs(NamedTuple):
    """The pairs of all views of a shape, view by view.

    `starts` (V + 1,) int64: those of view v are starts[v] .. starts[v + 1] - 1. `point` (R,) int32: row of the cloud.
    `place` (R, 2) uint16: from the top and from the left, in 1 / STEPS of height and width.
    """

    starts: np.ndarray
    point: np.ndarray
    place: np.ndarray

    @classmethod
    def of_views(cls, views: Sequence[tuple[np.ndarray, np.ndarray]]) -> Self:
        """Join the pairs of each view.

        Args:
            views: per view the points (R_v,), and where they are seen, (R_v, 2) in [0, 1) of height and width.
        Raises:
            ValueError: no views, or a place outside its view.
        """
        if not views:
            raise ValueError("a table of pairs needs at least one view")
        lengths = [len(point) for point, _ in views]
        where = np.concatenate([np.reshape(where, (-1, 2)) for _, where in views])
        if not ((where >= 0) & (where < 1)).all():
            raise ValueError("a pair lies outside its view")
        return cls(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([point for point, _ in views]).astype(np.int32),
            (where * STEPS).astype(np.uint16),
        )

    @property
    def num_views(self) -> int:
        """Number of views, those without a pair included."""
        return len(self.starts) - 1

    @property
    def per_view(self) -> np.ndarray:
        """Number of pairs of each view. Shape: (V,)."""
        return np.diff(self.starts)

    def rows(self, size: int) -> np.ndarray:
        """Return (view, row, column, point) of every pair on feature maps of size x size. Shape: (R, 4) int64."""
        view = np.repeat(np.arange(self.num_views), self.per_view)
        cell = self.place.astype(np.int64) * size // STEPS
        return np.column_stack([view, cell, self.point])

    def of_first_views(self, count: int) -> Self:
        """Keep the pairs of the first `count` views."""
        end = self.starts[count]
        return type(self)(self.starts[: count + 1], self.point[:end], self.place[:end])

    def fault(self, num_points: int, num_views: int) -> str | None:
        """Describe what is wrong with the table of a cloud of `num_points` with `num_views` views; None if sound."""
        starts, point, place = self
        kinds = [(array.dtype.kind, array.ndim) for array in self]
        if kinds != [("i", 1), ("i", 1), ("u", 2)] or place.dtype != np.uint16 or place.shape[1:] != (2,):
            return "its arrays are of other types or shapes than those of a table of pairs"
        if len(starts) != num_views + 1:
            return f"it has pairs of {len(starts) - 1} views, the shape has {num_views}"
        if starts[0] != 0 or starts[-1] != len(point) or len(place) != len(point) or (np.diff(starts) < 0).any():
            return "its starts do not fit its pairs"
        if len(point) and not 0 <= point.min() <= point.max() < num_points:
            wrong = point.min() if point.min() < 0 else point.max()
            return f"it names point {wrong}, the cloud has {num_points}"
        return None
