"""First and second moments of the edges of a graph, from which the BatchNorm statistics of any projection follow.

With [x_j, x_i] for the edge from centre i to its neighbour j, the mean over all edges of W [x_j, x_i] is W times the
edges' mean, and its variance a quadratic form of their covariance. Both need x, the sums of neighbours and the
in-degrees only; no edge is stored.

Letters: M rows (points of all clouds), K neighbours, C channels, D channels of a projection. `weight` (M,) counts the
equal points a row stands for (models.geometry.CloudRows).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.geometry import Edges
from models.sync import total

BLOCK = 512  # rows summed in the precision of the input


class EdgeMoments(NamedTuple):
    """Means over all edges of [x_j, x_i], of its products, and the number of edges.

    `mean` (2C,) and `second` (2C, 2C) in float64, differentiable; the first half belongs to the neighbour x_j.
    """

    mean: Tensor
    second: Tensor
    num_edges: int


class _MomentSums(torch.autograd.Function):
    """Sums over all edges of [x_j, x_i] and its products. Shape: x (M, C) -> (2C,), (2C, 2C), float64."""

    @staticmethod
    def forward(ctx, x, edges, weight):
        index, k = edges.index, edges.index.shape[1]
        neighbour_sum = F.embedding_bag(index, x, mode="sum")  # (M, C)
        edge_weight = None if weight is None else weight.repeat_interleave(k)
        in_degree = torch.bincount(index.reshape(-1), edge_weight, minlength=len(x))  # (M,)
        ctx.save_for_backward(x, weight, neighbour_sum, in_degree)
        ctx.edges = edges
        weighted = x if weight is None else x * weight[:, None]
        sums = neighbour_sum if weight is None else neighbour_sum * weight[:, None]
        as_neighbour = x * in_degree[:, None].to(x.dtype)
        grams = _gram(x, torch.cat([as_neighbour, sums, weighted], dim=1))  # (C, 3C)
        of_neighbours, mixed, of_centres = grams.chunk(3, dim=1)
        mean = torch.cat([_sum(as_neighbour), k * _sum(weighted)])
        return mean, torch.cat([torch.cat([of_neighbours, mixed.T], 1), torch.cat([mixed, k * of_centres], 1)])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_mean, grad_second):
        with torch.autocast(grad_mean.device.type, enabled=False):  # as in the forward pass
            return _MomentSums._gradient(ctx, grad_mean, grad_second), None, None

    @staticmethod
    def _gradient(ctx, grad_mean, grad_second):
        x, weight, neighbour_sum, in_degree = ctx.saved_tensors
        k, channels = ctx.edges.index.shape[1], x.shape[1]
        grad_mean = grad_mean.to(x.dtype)
        second = (grad_second + grad_second.T).to(x.dtype)  # (2C, 2C): both places of every product
        to_neighbour, to_centre = second[:channels], second[channels:]
        # Gradient at the sums of neighbours, which every neighbour receives.
        at_sum = torch.addmm(grad_mean[:channels], x, to_centre[:, :channels])
        centre = torch.addmm(k * grad_mean[channels:], neighbour_sum, to_neighbour[:, channels:])
        centre.addmm_(x, to_centre[:, channels:], alpha=k)
        if weight is not None:
            at_sum, centre = at_sum * weight[:, None], centre * weight[:, None]
        own = (x @ to_neighbour[:, :channels]).mul_(in_degree[:, None].to(x.dtype))
        return centre.add_(own).add_(_sum_over_centres(at_sum, ctx.edges))


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


def edge_moments(x: Tensor, edges: Edges, weight: Tensor | None = None, *, sync: bool = False) -> EdgeMoments:
    """Moments of the edges of a graph, with `sync` of the graphs of all processes, which need the same centre of x.

    Shape: x (M, C), edges between M rows, weight (M,) or None. Centre x first: products of coordinates far from the
    origin round coarsely.
    """
    num_edges = edges.index.shape[1] * (len(x) if weight is None else int(weight.sum()))
    with torch.autocast(x.device.type, enabled=False):  # which would take the products in bfloat16
        mean, second = _MomentSums.apply(x, edges, weight)
    if sync:
        num_edges = int(total(torch.tensor(num_edges, device=x.device)))
        mean, second = total(mean), total(second)
    return EdgeMoments(mean / num_edges, second / num_edges, num_edges)


def projected_statistics(moments: EdgeMoments, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of `weight` times [x_j, x_i]. Shape: weight (D, 2C) -> two (D,), float64."""
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
