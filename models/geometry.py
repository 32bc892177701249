"""Clouds as rows, and neighbour search on them.

Letters: B batch, N points, K neighbours, C channels, M rows = points of all clouds of a batch, one after another.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

GROUP = 8  # columns from which a neighbour search takes the minimum first
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
        x = x - x.mean(dim=1, keepdim=True)
        half_norm = 0.5 * (x * x).sum(dim=-1)
        score = torch.baddbmm(half_norm[:, None, :], x, x.transpose(1, 2), alpha=-1)  # (B, N, N)
        return score.topk(k, dim=-1, largest=False).indices


@torch.no_grad()
def knn_rows(x: Tensor, clouds: CloudRows, k: int) -> Tensor:
    """`knn` on rows: the k nearest points of each row, as rows of the batch; see `knn` for precision and ties.

    A row that stands for several points fills as many of the k places as it has points.

    Shape: (M, C) -> (M, K) int64, in [0, M).
    Raises:
        ValueError: a cloud has fewer than k points, or x has non-finite values.
    """
    if clouds.weight is None and x.device.type != "cpu":
        return flat_index(knn(x.unflatten(0, (len(clouds.lengths), -1)), k))
    x = _checked(x)
    index, start = [], 0
    with torch.autocast(x.device.type, enabled=False):
        for length in clouds.lengths:
            copies = 1 if clouds.weight is None else int(clouds.weight[start])
            _check_size(length + copies - 1, k)
            nearest = _nearest(x[start : start + length], min(k, length))
            index.append(_repeat_first(nearest, copies, k) + start)
            start += length
    return torch.cat(index)


def flat_index(index: Tensor) -> Tensor:
    """Turn per-cloud neighbour indices into rows of the batch. Shape: (B, N, K) -> (B * N, K)."""
    batch, num_points, _ = index.shape
    start = torch.arange(batch, device=index.device) * num_points
    return (index + start[:, None, None]).flatten(0, 1)


def _nearest(cloud: Tensor, k: int) -> Tensor:
    """k nearest rows of one cloud, nearest first. Shape: (N, C) -> (N, K).

    One cloud at a time, its (N, N) distances stay in the processor's cache.
    """
    if cloud.shape[1] == 3 and len(cloud) >= TREE and cloud.device.type == "cpu":
        coordinates = cloud.double().numpy()
        places = np.arange(1, k + 1)
        return torch.from_numpy(cKDTree(coordinates).query(coordinates, places, workers=torch.get_num_threads())[1])
    cloud = cloud - cloud.mean(dim=0)
    half_norm = 0.5 * (cloud * cloud).sum(dim=-1)
    is_large = len(cloud) >= 2 * k * GROUP
    padding = -len(cloud) % GROUP if is_large else 0
    targets, half_norm = F.pad(cloud, (0, 0, 0, padding)), F.pad(half_norm, (0, padding), value=torch.inf)
    score = torch.addmm(half_norm, cloud, targets.T, alpha=-1)  # |y|^2/2 - xy orders as |x - y|^2 does
    if not is_large:
        return score.topk(k, dim=-1, largest=False).indices
    # The k smallest of a row are in the k groups whose minima are smallest: two small selections for a large one.
    num_groups = len(targets) // GROUP  # column c is in group c % num_groups
    minima = score.unflatten(1, (GROUP, num_groups)).amin(dim=1)
    groups = minima.topk(k, dim=-1, largest=False, sorted=False).indices  # (N, K)
    members = (groups[:, None] + torch.arange(0, len(targets), num_groups)[:, None]).flatten(1)  # (N, GROUP * K)
    return members.gather(1, score.gather(1, members).topk(k, dim=-1, largest=False).indices)


def _repeat_first(nearest: Tensor, copies: int, k: int) -> Tensor:
    """Let row 0 fill `copies` places of each list and push what follows it back. Shape: (N, K') -> (N, K)."""
    if copies == 1:
        return nearest
    place = torch.arange(k)
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
