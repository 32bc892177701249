"""First and second moments of the edges of a graph, from which the BatchNorm statistics of any projection follow.

An edge from centre i to its neighbour j holds d = x_j - x_i and x_i. The mean of W [d, x_i] over all edges is W times
the mean of [d, x_i], and its variance a quadratic form of their covariance. Both need only x, the sum of differences at
every centre and the in-degrees; no edge is stored. Products use clouds centred at their own means, so that nothing
cancels when clouds lie far apart: differences are unaffected, and the part removed from x is added per cloud.

Letters: M rows (points of B clouds), K neighbours, C channels, D channels of a projection.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.distributed import all_reduce_sum
from models.rows import CloudRows, Edges

BLOCK = 512  # rows accumulated in the precision of the input
NARROW = 16  # channels up to which everything is computed in float64


class EdgeMoments(NamedTuple):
    """Mean over all edges of [x_j - x_i, x_i] and of its outer product, and the number of edges.

    `mean` (2C,) and `second` (2C, 2C) are float64 and differentiable.
    """

    mean: Tensor
    second: Tensor
    num_edges: int


class _MomentSums(torch.autograd.Function):
    """Sums over all edges of [x_j - x_i, x_i] and its products, where x is p and the shift of its cloud.

    Shape: p (M, C), shifts (B, C) -> (2C,), (2C, 2C), float64. No gradient for the shifts.
    """

    @staticmethod
    def forward(ctx, p, shifts, edges, clouds):
        index, k, given = edges.index, edges.index.shape[1], p.dtype
        if p.shape[1] <= NARROW:
            p, shifts = p.double(), shifts.double()
        weight = None if clouds.weight is None else clouds.weight.to(p.dtype)
        differences = F.embedding_bag(index, p, mode="sum").sub_(p, alpha=k)  # (M, C)
        edge_weight = None if weight is None else weight.repeat_interleave(k)
        in_degree = torch.bincount(index.reshape(-1), edge_weight, minlength=len(p)).to(p.dtype)
        surplus = in_degree - (k if weight is None else k * weight)  # of incoming edges over outgoing ones
        ctx.save_for_backward(p, shifts, differences, weight, surplus)
        ctx.edges, ctx.clouds, ctx.given = edges, clouds, given
        of_difference, of_point = _weighted(differences, weight), _weighted(p, weight)
        products = _gram(p, torch.cat([p * surplus[:, None], of_difference, of_point], dim=1))
        own, mixed, points = products.chunk(3, dim=1)  # (C, C) each
        # Contribution of the shifts, from sums over the clouds.
        shifts = shifts.double()
        counts = clouds.num_points.to(shifts)[:, None]  # (B, 1)
        differences, points_of = clouds.sums(of_difference).double(), clouds.sums(of_point).double()  # (B, C)
        cross = mixed + shifts.T @ differences
        across = shifts.T @ (points_of + 0.5 * counts * shifts)
        centres = k * (points + across + across.T)
        second = torch.cat([torch.cat([own - mixed - mixed.T, cross.T], 1), torch.cat([cross, centres], 1)])
        return torch.cat([differences.sum(0), k * (points_of + counts * shifts).sum(0)]), second

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_mean, grad_second):
        with torch.autocast(grad_mean.device.type, enabled=False):  # as in the forward pass
            return _MomentSums._gradient(ctx, grad_mean, grad_second).to(ctx.given), None, None, None

    @staticmethod
    def _gradient(ctx, grad_mean, grad_second):
        p, shifts, differences, weight, surplus = ctx.saved_tensors
        k, channels = ctx.edges.index.shape[1], p.shape[1]
        of_difference, of_centre = grad_mean.to(p.dtype).split(channels)
        both = (grad_second + grad_second.T).to(p.dtype)  # (2C, 2C): each product has two factors
        own, cross, centres = both[:channels, :channels], both[:channels, channels:], both[channels:, channels:]
        # Gradients of the sum of differences at a centre, and of the centre itself in its edges.
        at_difference = ctx.clouds.plus(p @ (cross.T - own), torch.addmm(of_difference, shifts, cross.T))
        rows = torch.addmm(of_centre - of_difference, shifts, centres - cross.T)
        grad = ctx.clouds.plus(p @ (centres - cross.T + own), rows)
        grad = _weighted(torch.addmm(grad, differences, cross - own, beta=k), weight)
        grad.addcmul_(p @ own, surplus[:, None])
        return grad.add_(_sum_over_centres(_weighted(at_difference, weight), ctx.edges))


def _weighted(rows: Tensor, weight: Tensor | None) -> Tensor:
    """Multiply every row by the points it stands for. Shape: (M, C), (M,) or None -> (M, C)."""
    return rows if weight is None else rows * weight.to(rows.dtype)[:, None]


def _sum_over_centres(v: Tensor, edges: Edges) -> Tensor:
    """Sum v_i, for each row j, over the rows i that have j as a neighbour. Shape: (M, D) -> (M, D)."""
    order, offsets = edges.by_neighbour
    return F.embedding_bag(order // edges.index.shape[1], v, offsets, mode="sum", include_last_offset=True)


def _gram(a: Tensor, b: Tensor) -> Tensor:
    """Compute a^T b by blocks of rows, added up in float64. Shape: (M, C), (M, D) -> (C, D)."""
    whole = len(a) // BLOCK * BLOCK
    parts = torch.bmm(a[:whole].unflatten(0, (-1, BLOCK)).transpose(1, 2), b[:whole].unflatten(0, (-1, BLOCK)))
    return parts.sum(dim=0, dtype=torch.float64) + (a[whole:].T @ b[whole:]).double()


def edge_moments(p: Tensor, shifts: Tensor, edges: Edges, clouds: CloudRows, *, sync: bool = False) -> EdgeMoments:
    """Compute the moments of all edges of a graph.

    Args:
        p: (M, C) rows of clouds centred at their own means (`around_cloud_means`).
        shifts: (B, C) to be added to the rows of each cloud: its mean minus a point common to all clouds of all ranks.
            The nearer that point is to their centre, the less is lost to rounding. Gets no gradient.
        edges: between the M rows.
        sync: of the graphs of all ranks together.
    """
    num_edges = edges.index.shape[1] * int(clouds.num_points.sum())
    with torch.autocast(p.device.type, enabled=False):  # which would compute the products in bfloat16
        mean, second = _MomentSums.apply(p, shifts, edges, clouds)
    if sync:
        sums = all_reduce_sum(torch.cat([mean, second.flatten(), mean.new_full((1,), num_edges)]))
        num_edges = int(sums[-1])
        mean, second = sums[: len(mean)], sums[len(mean) : -1].view_as(second)
    return EdgeMoments(mean / num_edges, second / num_edges, num_edges)


def projected_statistics(moments: EdgeMoments, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of W [x_j - x_i, x_i]. Shape: weight (D, 2C) -> two (D,), float64."""
    weight = weight.double()
    mean = weight @ moments.mean
    centred = moments.second - torch.outer(moments.mean, moments.mean)
    return mean, ((weight @ centred) * weight).sum(dim=1).clamp_min(0)


def mean_of_clouds(means: Tensor, clouds: CloudRows, sync: bool) -> Tensor:
    """Return the mean of all rows (`sync`: of all ranks) from the means of clouds. Shape: (B, C) -> (C,)."""
    lengths = torch.tensor(clouds.lengths, device=means.device, dtype=torch.float64)
    sums = torch.cat([lengths @ means.double(), lengths.sum()[None]])
    if sync:
        sums = all_reduce_sum(sums)
    return (sums[:-1] / sums[-1]).to(means.dtype)


def around_cloud_means(x: Tensor, clouds: CloudRows) -> tuple[Tensor, Tensor]:
    """Centre every cloud at the mean of its rows, a constant without gradient; return the means too.

    Shape: (M, C) -> (M, C), (B, C).
    """
    lengths = torch.tensor(clouds.lengths, device=x.device)
    means = clouds.sums(x.detach()) / lengths[:, None]
    return clouds.plus(x, -means), means
