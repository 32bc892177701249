"""Groups of points around centres: search, gather, and interpolation back to all points.

Letters: B clouds, N points, S centres, K points of a group, C channels.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from models.kernels.knn import allows_tf32
from models.layers.neighbours import NonFiniteInput

SEARCHED = 2**19  # distances in memory at once: 2 MiB of float32
ROUNDING, ROUNDING_TF32 = 2e-6, 4e-3  # bounds of the error of a product, relative to the largest squares


@torch.no_grad()
def ball_query(points: Tensor, centres: Tensor, radius: float, count: int) -> Tensor:
    """Return for each centre the first points, by number, that are not farther from it than `radius`.

    Where a ball holds fewer than `count`, its first point fills the rest, as in the published code. Whether a point is
    in a ball is decided in float64: a matrix product in float32, or TF32, only leaves out what is surely outside.

    Source: Qi et al. 2017, arXiv:1706.02413.

    Args:
        points: (B, N, 3) coordinates.
        centres: (B, S, 3), each within `radius` of some point.
        radius: > 0, in the unit of the points.
        count: K >= 1.
    Returns:
        (B, S, K) int64, in [0, N).
    Raises:
        ValueError: coordinates that are not finite, or a centre without a point.
    """
    _check(points)
    with torch.autocast(points.device.type, enabled=False):
        return torch.stack([_ball(*pair, radius, count) for pair in zip(points, centres, strict=True)])


def _ball(points: Tensor, centres: Tensor, radius: float, count: int) -> Tensor:
    """Query the balls of one cloud. Shape: (N, 3), (S, 3) -> (S, K)."""
    middle = points.mean(dim=0)
    near, exact, limit = (points - middle).float(), points.double(), radius * radius
    half_norm = 0.5 * near.square().sum(dim=1)
    rounding = ROUNDING_TF32 if allows_tf32() else ROUNDING
    found = []
    for part in centres.split(max(1, SEARCHED // len(points))):
        local = (part - middle).float()
        bound = 0.5 * (limit - local.square().sum(dim=1, keepdim=True))  # |y|^2/2 - xy <= bound if |x - y| <= radius
        slack = rounding * (half_norm.max() + local.square().sum(dim=1, keepdim=True) + limit)
        score = torch.addmm(half_norm, local, near.T, alpha=-1)
        row, column = _places(score <= bound + slack)
        inside = (exact[column] - part.double()[row]).square().sum(dim=1) <= limit
        found.append(_first_of_rows(row[inside], column[inside], len(part), count))
    return torch.cat(found)


def _places(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of every True, in order. Shape: (R, N) bool -> two (H,)."""
    if mask.device.type == "cpu":  # NumPy skips what is False several times as fast as torch
        place = torch.from_numpy(np.flatnonzero(mask.numpy()))
    else:
        place = mask.flatten().nonzero()[:, 0]
    return place // mask.shape[1], place % mask.shape[1]


def _first_of_rows(row: Tensor, column: Tensor, num_rows: int, count: int) -> Tensor:
    """Return the first `count` columns of each row, its first repeated where it has fewer. Shape: (H,) -> (R, K)."""
    number = torch.bincount(row, minlength=num_rows)
    if not number.all():
        raise ValueError(f"no point lies in the ball of {int((number == 0).sum())} centres; take a larger radius")
    start = number.cumsum(0) - number
    place = torch.arange(count, device=row.device).expand(num_rows, count)
    place = torch.where(place < number[:, None], place, 0) + start[:, None]
    return column[place]


@torch.no_grad()
def nearest_points(points: Tensor, centres: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return distances and numbers of the k points nearest to each centre, nearest first; all N where k is larger.

    Distances come from differences of coordinates, on a CPU in float64. Among equal ones the backend chooses.

    Shape: (B, N, 3), (B, S, 3) -> (B, S, K) of the type of `points`, (B, S, K) int64.
    Raises:
        ValueError: coordinates that are not finite.
    """
    _check(points)
    k = min(k, points.shape[1])
    if points.device.type != "cpu":
        with torch.autocast(points.device.type, enabled=False):
            distance = torch.cdist(centres, points, compute_mode="donot_use_mm_for_euclid_dist")
            return distance.topk(k, largest=False)
    places = np.arange(1, k + 1)
    found = []
    for cloud, part in zip(*(x.detach().double().numpy() for x in (points, centres)), strict=True):
        tree = cKDTree(cloud, balanced_tree=False, compact_nodes=False)  # quicker to build
        found.append(tree.query(part, places, workers=torch.get_num_threads()))
    distance, index = (torch.from_numpy(np.stack(parts)) for parts in zip(*found, strict=True))
    return distance.to(points.dtype), index


def _check(points: Tensor) -> None:
    if not torch.isfinite(points).all():
        raise NonFiniteInput("clouds hold non-finite coordinates (NaN or infinity)")


def gather(rows: Tensor, index: Tensor) -> Tensor:
    """Take rows of each cloud by number. Shape: (B, N, C), (B, ...) int64 -> (B, ..., C)."""
    start = torch.arange(len(rows), device=rows.device) * rows.shape[1]
    return F.embedding(index + start.view(-1, *[1] * (index.ndim - 1)), rows.flatten(0, 1))


def interpolate(rows: Tensor, centres: Tensor, points: Tensor, power: int = 2) -> Tensor:
    """Carry features of centres to points: the mean of the three nearest centres, weighted by 1 / distance^power.

    Source: the feature propagation of Qi et al. 2017, arXiv:1706.02413.

    Shape: (B, S, C), (B, S, 3), (B, N, 3) -> (B, N, C).
    """
    distance, index = nearest_points(centres, points, 3)
    weight = 1 / (distance**power + 1e-8)
    weight = weight / weight.sum(dim=-1, keepdim=True)
    return (gather(rows, index) * weight[..., None].to(rows.dtype)).sum(dim=2)
