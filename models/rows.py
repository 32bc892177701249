"""Point clouds of any sizes as one table of rows, and the edges of a graph between them.

Letters: B clouds, N points, K neighbours, C channels, M rows: the points of all clouds, one cloud after another.
"""

from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class CloudRows(NamedTuple):
    """Assignment of the M rows of a batch to its clouds.

    `lengths` holds the number of rows of each cloud; they sum to M. `weight` (M,) counts the equal points that a row
    stands for, and only the first row of a cloud may stand for several; None means one each.
    """

    lengths: list[int]
    weight: Tensor | None = None

    def first_rows(self, device: torch.device) -> Tensor:
        """Return the row of each cloud's point 0. Shape: (B,)."""
        lengths = torch.tensor(self.lengths, device=device)
        return lengths.cumsum(0) - lengths

    def merged_rows(self) -> tuple[Tensor, Tensor]:
        """Return the row of each cloud's point 0 and how many further points it stands for (float64). Shape: two (B,).

        Only where `weight` is given.
        """
        first = self.first_rows(self.weight.device)
        return first, self.weight[first].double() - 1

    @property
    def num_points(self) -> Tensor:
        """Points of each cloud. Shape: (B,)."""
        if self.weight is None:
            return torch.tensor(self.lengths)
        return torch.stack([part.sum() for part in self.weight.split(self.lengths)])

    @property
    def are_equal(self) -> bool:
        """Whether all clouds have the same number of rows, each of one point, so that (B, N, C) holds them."""
        return self.weight is None and len(set(self.lengths)) == 1

    def batched(self, rows: Tensor) -> Tensor:
        """Unflatten the rows of clouds that `are_equal`. Shape: (M, C) -> (B, N, C)."""
        return rows.unflatten(0, (len(self.lengths), -1))

    def sums(self, rows: Tensor) -> Tensor:
        """Sum the rows of each cloud, without their weights. Shape: (M, C) -> (B, C)."""
        if self.are_equal:
            return self.batched(rows).sum(dim=1)
        return torch.stack([part.sum(dim=0) for part in rows.split(self.lengths)])

    def plus(self, rows: Tensor, values: Tensor) -> Tensor:
        """Add to each row the value of its cloud. Shape: (M, C), (B, C) -> (M, C)."""
        if self.are_equal:
            return (self.batched(rows) + values[:, None]).flatten(0, 1)
        lengths = torch.tensor(self.lengths, device=values.device)
        cloud = torch.arange(len(lengths), device=values.device)
        return rows + F.embedding(cloud.repeat_interleave(lengths, output_size=len(rows)), values)


class Edges:
    """Edges from each of M rows to its K neighbours; edge i * K + place leads from row i to `index[i, place]`.

    Attributes:
        index: (M, K) integers in [0, M).
    """

    def __init__(self, index: Tensor):
        self.index = index.contiguous()

    @cached_property
    def by_neighbour(self) -> tuple[Tensor, Tensor]:
        """Edges sorted by the row they lead to, stably; cached, so that one sort serves a whole backward pass.

        Returns:
            order (M * K,), offsets (M + 1,): the edges `order[offsets[j] : offsets[j + 1]]` lead to row j.
        """
        neighbour, order = torch.sort(self.index.flatten().int(), stable=True)
        rows = torch.arange(len(self.index) + 1, dtype=torch.int32, device=order.device)
        return order, torch.searchsorted(neighbour, rows)


def dense_rows(points: Tensor) -> tuple[Tensor, CloudRows]:
    """Give every point a row of its own. Shape: (B, N, C) -> (B * N, C)."""
    return points.flatten(0, 1), CloudRows([points.shape[1]] * len(points))


def merge_copies(points: Tensor, max_sizes: int | None = None) -> tuple[Tensor, CloudRows]:
    """Drop the copies of each cloud's point 0, and count them in the `weight` of its row.

    CrossPoint's random input dropout overwrites 44 % of the points, on average, with point 0. A network that knows
    the multiplicities computes exactly the same function on the rest.

    Shape: (B, N, C) -> (M, C), M <= B * N.

    Args:
        max_sizes: number of different M that batches of this shape may have; some copies then keep rows of their own.
            None leaves no copy and takes M as it comes.
    """
    num_points = points.shape[1]
    is_kept = (points != points[:, :1]).any(dim=-1)  # (B, N)
    is_kept[:, 0] = True
    if max_sizes is not None:
        _round_up(is_kept.view(-1), -(-is_kept.numel() // max_sizes))
    if is_kept.all():
        return dense_rows(points)
    lengths = is_kept.sum(dim=1)  # (B,)
    rows = points[is_kept]
    weight = torch.ones(len(rows), dtype=points.dtype, device=points.device)
    weight[lengths.cumsum(0) - lengths] = (num_points - lengths + 1).to(points.dtype)
    return rows, CloudRows(lengths.tolist(), weight)


def _round_up(is_kept: Tensor, multiple: int) -> None:
    """Mark further rows as kept, from the first on, until their number is a multiple or all are kept. Shape: (M,)."""
    missing = -int(is_kept.sum()) % multiple
    is_kept[(~is_kept).nonzero()[:missing, 0]] = True


def flat_index(index: Tensor) -> Tensor:
    """Turn per-cloud neighbour indices into rows of the batch. Shape: (B, N, K) -> (B * N, K)."""
    batch, num_points, _ = index.shape
    start = torch.arange(batch, device=index.device) * num_points
    return (index + start[:, None, None]).flatten(0, 1)
