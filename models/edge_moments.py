"""First and second moments of the edges of a graph, from which the BatchNorm statistics of any projection follow.

Of d = x_j - x_i and x_i, for the edge from centre i to its neighbour j, the mean over all edges of W [d, x_i] is W
times their mean, and its variance a quadratic form of their covariance. Both need x, the sums of differences at every
centre and the in-degrees only; no edge is stored. Differences do not change when a cloud is shifted, so their moments
are taken from clouds around their own means: nothing cancels because clouds lie far apart.

Letters: M rows (points of all clouds), K neighbours, C channels, D channels of a projection. `weight` (M,) counts the
equal points a row stands for (models.geometry.CloudRows).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.geometry import CloudRows, Edges
from models.sync import total

BLOCK = 512  # rows summed in the precision of the input
NARROW = 16  # channels up to which all is computed in float64


class EdgeMoments(NamedTuple):
    """Means over all edges of [x_j - x_i, x_i], of its products, and the number of edges.

    `mean` (2C,) and `second` (2C, 2C) in float64, differentiable.
    """

    mean: Tensor
    second: Tensor
    num_edges: int


class _MomentSums(torch.autograd.Function):
    """Sums over all edges of [x_j - x_i, x_i] and its products. Shape: x, p (M, C) -> (2C,), (2C, 2C), float64.

    `p` is x up to a shift of every cloud.
    """

    @staticmethod
    def forward(ctx, x, p, edges, weight):
        index, k, given = edges.index, edges.index.shape[1], x.dtype
        if x.shape[1] <= NARROW:
            x, p = x.double(), p.double()
        differences = F.embedding_bag(index, p, mode="sum").sub_(p, alpha=k)  # (M, C)
        edge_weight = None if weight is None else weight.to(x.dtype).repeat_interleave(k)
        in_degree = torch.bincount(index.reshape(-1), edge_weight, minlength=len(x)).to(x.dtype)
        surplus = in_degree - (k if weight is None else k * weight.to(x.dtype))  # of edges that come over those that go
        ctx.save_for_backward(x, p, differences, weight, surplus)
        ctx.edges, ctx.given = edges, given
        of_difference = _weighted(differences, weight)
        of_centre = k * x if weight is None else _weighted(x, k * weight)
        own, mixed = _gram(p, torch.cat([p * surplus[:, None], of_difference], dim=1)).chunk(2, dim=1)
        cross, centres = _gram(x, torch.cat([of_difference, of_centre], dim=1)).chunk(2, dim=1)
        second = torch.cat([torch.cat([own - mixed - mixed.T, cross.T], 1), torch.cat([cross, centres], 1)])
        return torch.cat([_sum(of_difference), _sum(of_centre)]), second

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_mean, grad_second):
        with torch.autocast(grad_mean.device.type, enabled=False):  # as in the forward pass
            return _MomentSums._gradient(ctx, grad_mean, grad_second).to(ctx.given), None, None, None

    @staticmethod
    def _gradient(ctx, grad_mean, grad_second):
        x, p, differences, weight, surplus = ctx.saved_tensors
        k, channels = ctx.edges.index.shape[1], x.shape[1]
        of_difference, of_centre = grad_mean.to(x.dtype).split(channels)
        both = (grad_second + grad_second.T).to(x.dtype)  # (2C, 2C): both places of every product
        own, cross, centres = both[:channels, :channels], both[:channels, channels:], both[channels:, channels:]
        through_own = p @ own
        at_difference = _weighted(torch.addmm(of_difference, x, cross.T).sub_(through_own), weight)
        grad = torch.addmm(of_centre, x, centres).mul_(k)
        grad = _weighted(grad.addmm_(differences, cross - own), weight)
        grad.addcmul_(through_own, surplus[:, None]).sub_(at_difference, alpha=k)
        return grad.add_(_sum_over_centres(at_difference, ctx.edges))


def _weighted(rows: Tensor, weight: Tensor | None) -> Tensor:
    """Every row times the points it stands for. Shape: (M, C), (M,) or None -> (M, C)."""
    return rows if weight is None else rows * weight.to(rows.dtype)[:, None]


def _sum_over_centres(v: Tensor, edges: Edges) -> Tensor:
    """For each row j, the sum of v_i over the rows i that have j as a neighbour. Shape: (M, D) -> (M, D)."""
    order, offsets = edges.by_neighbour
    return F.embedding_bag(order // edges.index.shape[1], v, offsets, mode="sum", include_last_offset=True)


def _gram(a: Tensor, b: Tensor) -> Tensor:
    """a^T b, by blocks of rows in the precision of a and their sum in float64. Shape: (M, C), (M, D) -> (C, D)."""
    whole = len(a) // BLOCK * BLOCK
    parts = torch.bmm(a[:whole].unflatten(0, (-1, BLOCK)).transpose(1, 2), b[:whole].unflatten(0, (-1, BLOCK)))
    return parts.sum(dim=0, dtype=torch.float64) + (a[whole:].T @ b[whole:]).double()


def _sum(x: Tensor) -> Tensor:
    """Sum over rows, as `_gram` does it. Shape: (M, C) -> (C,), float64."""
    return _gram(x.new_ones(len(x), 1), x)[0]


def edge_moments(
    x: Tensor, p: Tensor, edges: Edges, weight: Tensor | None = None, *, sync: bool = False
) -> EdgeMoments:
    """Moments of the edges of a graph, with `sync` of the graphs of all processes, which need the same centre of x.

    Shape: x (M, C), edges between M rows, weight (M,) or None. `p` (M, C) is x with every cloud shifted to its own
    mean (`around_cloud_means`). Centre x too: products of coordinates far from the origin round coarsely.
    """
    num_edges = edges.index.shape[1] * (len(x) if weight is None else int(weight.sum()))
    with torch.autocast(x.device.type, enabled=False):  # which would take the products in bfloat16
        mean, second = _MomentSums.apply(x, p, edges, weight)
    if sync:
        num_edges = int(total(torch.tensor(num_edges, device=x.device)))
        mean, second = total(mean), total(second)
    return EdgeMoments(mean / num_edges, second / num_edges, num_edges)


def projected_statistics(moments: EdgeMoments, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of `weight` times [x_j - x_i, x_i]. Shape: weight (D, 2C) -> two (D,), float64."""
    weight = weight.double()
    mean = weight @ moments.mean
    centred = moments.second - torch.outer(moments.mean, moments.mean)
    return mean, ((weight @ centred) * weight).sum(dim=1).clamp_min(0)


def mean_row(x: Tensor, sync: bool) -> Tensor:
    """Mean over rows, with `sync` over those of all processes. Shape: (M, C) -> (C,)."""
    if not sync:
        return x.mean(dim=0)
    sums = total(torch.cat([x.double().sum(dim=0), x.new_tensor([len(x)], dtype=torch.float64)]))
    return (sums[:-1] / sums[-1]).to(x.dtype)


def around_cloud_means(x: Tensor, clouds: CloudRows) -> Tensor:
    """Every cloud shifted, by a constant, so that the mean of its rows is 0. Shape: (M, C) -> (M, C)."""
    values = x.detach()
    if clouds.are_equal:
        means = values.unflatten(0, (len(clouds.lengths), -1)).mean(dim=1)  # (B, C)
    else:
        means = torch.stack([rows.mean(dim=0) for rows in values.split(clouds.lengths)])
    lengths = torch.tensor(clouds.lengths, device=x.device)
    return x - means.repeat_interleave(lengths, dim=0, output_size=len(x))
