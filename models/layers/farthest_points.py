"""Farthest-point order of clouds.

Source: Eldar et al. 1997, "The farthest point strategy for progressive image sampling"; for point clouds Qi et al.
2017, arXiv:1706.02413.
"""

import torch
from torch import Tensor


@torch.no_grad()
def farthest_order(points: Tensor, count: int | None = None, first: Tensor | None = None) -> Tensor:
    """Order points so that each is the farthest from those before it; of equals the lowest comes first.

    Clouds are ordered side by side, so many small ones cost little more than one.

    Args:
        points: (B, N, D) coordinates.
        count: points wanted, at most N; None orders all.
        first: (B,) the point of each cloud to begin with; None takes point 0.
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
    if first is not None:
        order[:, 0] = first
    nearest = torch.full((batch, num_points), torch.inf, dtype=points.dtype, device=points.device)
    distance, difference = torch.empty_like(nearest), torch.empty_like(nearest)
    for step in range(1, count):
        last = order[:, step - 1]
        taken = columns[:, clouds, last][..., None]
        distance.zero_()
        for column, value in zip(columns, taken, strict=True):
            torch.sub(column, value, out=difference)
            distance.add_(difference.square_())  # a fused multiply-add would decide ties by the processor
        torch.minimum(nearest, distance, out=nearest)
        nearest[clouds, last] = -1  # a copy of a point taken is at distance 0, the point itself is out
        order[:, step] = _largest(nearest)
    return order


def _largest(values: Tensor) -> Tensor:
    """Return the place of the maximum of each row, of equals the first. Shape: (B, N) -> (B,)."""
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(values.numpy().argmax(axis=1))  # with vector instructions, unlike torch's
    return values.argmax(dim=1)
