"""Farthest-point order of clouds.

Source: Eldar et al. 1997, "The farthest point strategy for progressive image sampling"; for point clouds Qi et al.
2017, arXiv:1706.02413.
"""

import torch
from torch import Tensor


@torch.no_grad()
def farthest_order(points: Tensor, count: int | None = None) -> Tensor:
    """Order points so that each is the farthest from those before it; point 0 comes first, of equals the lowest.

    Clouds are ordered side by side, so many small ones cost little more than one.

    Args:
        points: (B, N, D) coordinates.
        count: points wanted, at most N; None orders all.
    Returns:
        (B, count) int64, all different.
    Raises:
        ValueError: count is below 1 or above N.
    """
    batch, num_points, _ = points.shape
    count = num_points if count is None else count
    if not 1 <= count <= num_points:
        raise ValueError(f"{count} farthest points of clouds of {num_points}: expected 1 to {num_points}")
    columns = points.movedim(2, 0).contiguous()  # (D, B, N)
    clouds = torch.arange(batch, device=points.device)
    order = torch.zeros(batch, count, dtype=torch.int64, device=points.device)
    nearest = torch.full((batch, num_points), torch.inf, dtype=points.dtype, device=points.device)
    for step in range(1, count):
        last = order[:, step - 1]
        distance = (columns - columns[:, clouds, last][..., None]).square_().sum(dim=0)
        torch.minimum(nearest, distance, out=nearest)
        nearest[clouds, last] = -1  # a copy of a point taken is at distance 0, the point itself is out
        order[:, step] = nearest.argmax(dim=1)
    return order
