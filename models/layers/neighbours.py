"""Clouds as rows, and neighbour search on them.

Letters: B batch, N points, K neighbours, C channels, M rows = points of all clouds of a batch, one after another.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from models.kernels.knn import nearest

GROUP = 8  # columns from which a neighbour search takes the minimum first
SEARCHED = 512  # rows whose distances to all points are in memory at once
PARTITIONED = 256  # columns up to which NumPy selects by vector instructions ...
FEW_THREADS = 4  # ... and threads up to which topk, which uses them all, is slower
LABEL_BITS = 28  # what a float64 has to spare beside a float32
TREE = 1024  # points in space from which a tree is faster than all distances: benchmarks.knn


class NonFiniteInput(ValueError):
    """Coordinates or features hold NaN or infinity, so that no point has nearest neighbours."""


class CloudRows(NamedTuple):
    """How the M rows of a batch belong to its clouds.

    `lengths` holds the rows of each cloud (they sum to M). `weight` (M,) says how many equal points a row stands
    for; None means one each. Only the first row of a cloud may stand for several.
    """

    lengths: list[int]
    weight: Tensor | None = None

    def first_rows(self, device: torch.device) -> Tensor:
        """Row of each cloud's point 0. Shape: (B,)."""
        lengths = torch.tensor(self.lengths, device=device)
        return lengths.cumsum(0) - lengths

    @property
    def num_points(self) -> Tensor:
        """Points of each cloud. Shape: (B,)."""
        if self.weight is None:
            return torch.tensor(self.lengths)
        return torch.stack([part.sum() for part in self.weight.split(self.lengths)])

    @property
    def are_equal(self) -> bool:
        """Whether all clouds have as many rows, each of one point: (B, N, C) holds them."""
        return self.weight is None and len(set(self.lengths)) == 1

    def batched(self, rows: Tensor) -> Tensor:
        """Rows of clouds that `are_equal`. Shape: (M, C) -> (B, N, C)."""
        return rows.unflatten(0, (len(self.lengths), -1))

    def sums(self, rows: Tensor) -> Tensor:
        """Sum over the rows of each cloud, a row of several points counted once. Shape: (M, C) -> (B, C)."""
        if self.are_equal:
            return self.batched(rows).sum(dim=1)
        return torch.stack([part.sum(dim=0) for part in rows.split(self.lengths)])

    def plus(self, rows: Tensor, values: Tensor) -> Tensor:
        """Each row and the value of its cloud. Shape: (M, C), (B, C) -> (M, C)."""
        if self.are_equal:
            return (self.batched(rows) + values[:, None]).flatten(0, 1)
        lengths = torch.tensor(self.lengths, device=values.device)
        cloud = torch.arange(len(lengths), device=values.device)
        return rows + F.embedding(cloud.repeat_interleave(lengths, output_size=len(rows)), values)


class Edges:
    """Edges from each of M rows to its K neighbours; number i * K + place leads from row i to `index[i, place]`.

    Attributes:
        index: (M, K) integers in [0, M).
    """

    def __init__(self, index: Tensor):
        self.index = index.contiguous()

    @cached_property
    def by_neighbour(self) -> tuple[Tensor, Tensor]:
        """Edges sorted by the row they lead to, those of one row in their order: one sort serves a backward pass.

        Returns:
            order (M * K,), offsets (M + 1,): the edges `order[offsets[j] : offsets[j + 1]]` lead to row j.
        """
        neighbour, order = torch.sort(self.index.flatten().int(), stable=True)
        rows = torch.arange(len(self.index) + 1, dtype=torch.int32, device=order.device)
        return order, torch.searchsorted(neighbour, rows)


def dense_rows(points: Tensor) -> tuple[Tensor, CloudRows]:
    """Every point a row of its own. Shape: (B, N, C) -> (B * N, C)."""
    return points.flatten(0, 1), CloudRows([points.shape[1]] * len(points))


def merge_copies(points: Tensor) -> tuple[Tensor, CloudRows]:
    """Rows without the copies of each cloud's point 0, which `weight` counts instead.

    CrossPoint's random input dropout overwrites 44 % of the points, on average, with point 0. A network that knows
    the multiplicities computes exactly the same function on the rest.

    Shape: (B, N, C) -> (M, C), M <= B * N.
    """
    num_points = points.shape[1]
    is_kept = (points != points[:, :1]).any(dim=-1)  # (B, N)
    is_kept[:, 0] = True
    if is_kept.all():
        return dense_rows(points)
    lengths = is_kept.sum(dim=1)  # (B,)
    rows = points[is_kept]
    weight = torch.ones(len(rows), dtype=points.dtype, device=points.device)
    weight[lengths.cumsum(0) - lengths] = (num_points - lengths + 1).to(points.dtype)
    return rows, CloudRows(lengths.tolist(), weight)


@torch.no_grad()
def knn(x: Tensor, k: int) -> Tensor:
    """Index of each point's k nearest points of the same cloud, itself included.

    Distances are squared Euclidean, always in at least float32, also under autocast: bfloat16 finds the right
    neighbours for only 90-99 % of the points. Clouds are centred first, because |x|^2 - 2xy + |y|^2 cancels
    for coordinates far from the origin. Among equal distances the choice is the backend's, the same for the
    same input.

    Args:
        x: (B, N, C) coordinates or features.
        k: number of neighbours, 1 <= k <= N.
    Returns:
        (B, N, K) int64, in [0, N), nearest first.
    Raises:
        ValueError: N < k, or x has non-finite values.
    """
    x = _checked(x)
    _check_size(x.shape[1], k)
    with torch.autocast(x.device.type, enabled=False):
        if x.device.type == "cpu":
            return torch.stack([_nearest(cloud, k) for cloud in x])
        return nearest(x, k)


@torch.no_grad()
def knn_rows(x: Tensor, clouds: CloudRows, k: int) -> Tensor:
    """`knn` on rows: the k nearest points of each row, as rows of the batch; see `knn` for precision and ties.

    A row that stands for several points fills as many of the k places as it has points.

    Shape: (M, C) -> (M, K) int64, in [0, M).
    Raises:
        ValueError: a cloud has fewer than k points, or x has non-finite values.
    """
    if clouds.are_equal and x.device.type != "cpu":
        return flat_index(knn(x.unflatten(0, (len(clouds.lengths), -1)), k))
    x = _checked(x)
    index, start = [], 0
    with torch.autocast(x.device.type, enabled=False):
        for length in clouds.lengths:
            copies = 1 if clouds.weight is None else int(clouds.weight[start])
            _check_size(length + copies - 1, k)
            found = _nearest(x[start : start + length], min(k, length))
            index.append(_repeat_first(found, copies, k) + start)
            start += length
    return torch.cat(index)


def flat_index(index: Tensor) -> Tensor:
    """Turn per-cloud neighbour indices into rows of the batch. Shape: (B, N, K) -> (B * N, K)."""
    batch, num_points, _ = index.shape
    start = torch.arange(batch, device=index.device) * num_points
    return (index + start[:, None, None]).flatten(0, 1)


def _nearest(cloud: Tensor, k: int) -> Tensor:
    """k nearest rows of one cloud, nearest first. Shape: (N, C) -> (N, K).

    Some rows at a time, their distances stay in the processor's cache.
    """
    if cloud.shape[1] == 3 and len(cloud) >= TREE and cloud.device.type == "cpu":
        coordinates = cloud.double().numpy()
        places = np.arange(1, k + 1)
        return torch.from_numpy(cKDTree(coordinates).query(coordinates, places, workers=torch.get_num_threads())[1])
    cloud = cloud - cloud.mean(dim=0)
    half_norm = 0.5 * (cloud * cloud).sum(dim=-1)
    is_large = len(cloud) >= 2 * k * GROUP
    padding = -len(cloud) % GROUP if is_large else 0
    farthest = torch.finfo(cloud.dtype).max
    targets, half_norm = F.pad(cloud, (0, 0, 0, padding)), F.pad(half_norm, (0, padding), value=farthest)
    columns = torch.arange(len(targets), device=cloud.device)
    found = []
    for rows in cloud.split(SEARCHED):
        score = torch.addmm(half_norm, rows, targets.T, alpha=-1)  # |y|^2/2 - xy orders as |x - y|^2 does
        labels = columns.expand_as(score)
        if is_large:
            # The k smallest of a row are in the k groups whose minima are smallest: two small selections for a large
            # one. Column c is in group c % num_groups.
            num_groups = len(targets) // GROUP
            minima = score.unflatten(1, (GROUP, num_groups)).amin(dim=1)
            groups = _smallest(minima, labels[:, :num_groups], k)  # (R, K)
            labels = (groups[:, None] + columns[::num_groups, None]).flatten(1)  # (R, GROUP * K)
            score = score.gather(1, labels)
        found.append(_smallest(score, labels, k))
    return torch.cat(found)


def _smallest(values: Tensor, labels: Tensor, k: int) -> Tensor:
    """Labels of the k smallest values of each row, smallest first. Shape: (R, L), (R, L) int64 -> (R, K)."""
    is_plain = values.dtype == torch.float32 and values.device.type == "cpu"
    if not is_plain or values.shape[1] > PARTITIONED or torch.get_num_threads() > FEW_THREADS:
        return labels.gather(1, values.topk(k, dim=-1, largest=False).indices)
    # NumPy selects among labelled numbers in a quarter of the processor's time that topk takes, on one thread.
    packed = with_labels(values, labels).numpy()
    if k < packed.shape[1]:
        packed.partition(k - 1, axis=1)
    smallest = packed[:, :k].copy()
    smallest.sort(axis=1)
    return labels_of(torch.from_numpy(smallest))


def with_labels(values: Tensor, labels: Tensor) -> Tensor:
    """Float64 numbers that order as the float32 values they are made of and carry a label each, below 2**LABEL_BITS.

    The label stands in the last 29 bits, which a float32 leaves free; among equal values labels decide the order.
    """
    return values.double().view(torch.int64).bitwise_or_(labels).view(torch.float64)


def labels_of(packed: Tensor) -> Tensor:
    """The labels that `with_labels` put in; of NaN, any number below 2**LABEL_BITS."""
    return packed.view(torch.int64).bitwise_and(2**LABEL_BITS - 1)


def _repeat_first(nearest: Tensor, copies: int, k: int) -> Tensor:
    """Let row 0 fill `copies` places of each list and push what follows it back. Shape: (N, K') -> (N, K)."""
    if copies == 1:
        return nearest
    place = torch.arange(k, device=nearest.device)
    is_first = nearest == 0
    found = torch.where(is_first.any(dim=1), is_first.int().argmax(dim=1), k)[:, None]  # place of row 0, or none
    source = torch.where(place <= found, place, torch.maximum(found, place - (copies - 1)))
    return nearest.gather(1, source)


def _checked(x: Tensor) -> Tensor:
    x = x if x.dtype == torch.float64 else x.float()
    if not torch.isfinite(x).all():
        raise NonFiniteInput("neighbour search met non-finite coordinates or features (NaN or infinity)")
    return x


def _check_size(num_points: int, k: int) -> None:
    if num_points < k:
        raise ValueError(f"clouds have {num_points} points but k = {k}; use more points or a smaller --k")
