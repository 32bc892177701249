"""Exact search for the k nearest neighbours of every point of a cloud.

Letters: B clouds, N points, K neighbours, C channels, M rows: the points of all clouds, one cloud after another.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from models.kernels.knn import nearest
from models.layers.packed_labels import labels_of, with_labels
from models.rows import CloudRows, flat_index

GROUP = 8  # columns of a group, of which the search takes the minimum first
SEARCHED = 512  # rows whose distances to all points are in memory at once
PARTITIONED = 256  # columns up to which NumPy selects with vector instructions ...
FEW_THREADS = 4  # ... and threads beyond which topk, which uses them all, is faster
TREE = 1024  # points in space from which a tree beats computing all distances: benchmarks.knn


class NonFiniteInput(ValueError):
    """Coordinates or features, or their squared distances, are not finite, so that no point has nearest neighbours."""


@torch.no_grad()
def knn(x: Tensor, k: int) -> Tensor:
    """Return the index of each point's k nearest points of the same cloud, itself included.

    Distances are squared Euclidean, in at least float32, also under autocast: bfloat16 finds the right neighbours for
    only 90-99 % of the points. Clouds are centred first, because |x|^2 - 2xy + |y|^2 cancels for coordinates far from
    the origin. Among equal distances the backend chooses, always alike for the same input.

    Args:
        x: (B, N, C) coordinates or features.
        k: number of neighbours, 1 <= k <= N.
    Returns:
        (B, N, K) int64, in [0, N), nearest first.
    Raises:
        ValueError: N < k, or x has values that are not finite or so large that squared distances overflow.
    """
    x = _checked(x)
    _check_size(x.shape[1], k)
    with torch.autocast(x.device.type, enabled=False):
        if x.device.type == "cpu":
            return torch.stack([_nearest(cloud, k) for cloud in x])
        return nearest(x, k)


@torch.no_grad()
def knn_rows(x: Tensor, clouds: CloudRows, k: int) -> Tensor:
    """Return the k nearest points of each row, as rows of the batch; see `knn` for precision and ties.

    A row that stands for several points fills as many of the k places as it has points.

    Shape: (M, C) -> (M, K) int64, in [0, M).
    Raises:
        ValueError: as `knn`.
    """
    if clouds.are_equal and x.device.type != "cpu":
        return flat_index(knn(clouds.batched(x), k))
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


def _nearest(cloud: Tensor, k: int) -> Tensor:
    """Return the k nearest rows of one cloud, nearest first. Shape: (N, C) -> (N, K).

    A few rows at a time, so that their distances stay in the processor's cache.
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
            # The k smallest of a row are in the k groups with the smallest minima, so that two small selections
            # replace a large one. Column c is in group c % num_groups.
            num_groups = len(targets) // GROUP
            minima = score.unflatten(1, (GROUP, num_groups)).amin(dim=1)
            groups = _smallest(minima, labels[:, :num_groups], k)  # (R, K)
            labels = (groups[:, None] + columns[::num_groups, None]).flatten(1)  # (R, GROUP * K)
            score = score.gather(1, labels)
        found.append(_smallest(score, labels, k))
    return torch.cat(found)


def _smallest(values: Tensor, labels: Tensor, k: int) -> Tensor:
    """Return the labels of the k smallest values of each row, in order. Shape: (R, L), (R, L) int64 -> (R, K)."""
    is_plain = values.dtype == torch.float32 and values.device.type == "cpu"
    if not is_plain or values.shape[1] > PARTITIONED or torch.get_num_threads() > FEW_THREADS:
        return labels.gather(1, values.topk(k, dim=-1, largest=False).indices)
    # On one thread NumPy selects among packed numbers in a quarter of the time of topk.
    packed = with_labels(values, labels).numpy()
    if k < packed.shape[1]:
        packed.partition(k - 1, axis=1)
    smallest = packed[:, :k].copy()
    smallest.sort(axis=1)
    return labels_of(torch.from_numpy(smallest))


def _repeat_first(nearest: Tensor, copies: int, k: int) -> Tensor:
    """Let row 0 fill `copies` places of each list and push back what follows it. Shape: (N, K') -> (N, K)."""
    if copies == 1:
        return nearest
    place = torch.arange(k, device=nearest.device)
    is_first = nearest == 0
    found = torch.where(is_first.any(dim=1), is_first.int().argmax(dim=1), k)[:, None]  # place of row 0, or none
    source = torch.where(place <= found, place, torch.maximum(found, place - (copies - 1)))
    return nearest.gather(1, source)


def _checked(x: Tensor) -> Tensor:
    x = x if x.dtype == torch.float64 else x.float()
    size = x.abs()
    if (size <= _limit(x)).all():
        return x
    if not torch.isfinite(x).all():
        raise NonFiniteInput("neighbour search met non-finite coordinates or features (NaN or infinity)")
    raise NonFiniteInput(
        f"neighbour search met coordinates or features up to {size.max().item():.0e}: their squared distances overflow "
        f"{str(x.dtype).removeprefix('torch.')}; scale the clouds (normalize=True, --normalize)"
    )


def _limit(x: Tensor) -> float:
    """Return the absolute value up to which squared distances between rows are surely finite."""
    return math.sqrt(torch.finfo(x.dtype).max / (8 * x.shape[-1]))  # |x - y|^2 <= 4 C limit^2; half in reserve


def _check_size(num_points: int, k: int) -> None:
    if num_points < k:
        raise ValueError(f"clouds have {num_points} points but k = {k}; use more points or a smaller --k")
