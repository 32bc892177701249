"""Edge convolutions computed without their (B, N, K, 2C) edge tensor.

A published EdgeConv convolves [x_j - x_i, x_i] for every edge, normalises, activates and takes the maximum over
the K neighbours j of i. With W = [W_a | W_b] an edge is e_ij = u_j + v_i, u = W_a x, v = (W_b - W_a) x, so one
product over N points replaces one over N * K edges. BatchNorm's affine (scale >= 0) and LeakyReLU do not
decrease, so the maximum moves inside them; channels with a negative scale are negated first. The batch
statistics of all edges follow from S_i = sum_j u_j and the in-degrees. Same weights, outputs, gradients and
running statistics as the published formulation.

Letters: M rows (points of all clouds), K neighbours, C channels in, D channels out. `weight` (M,) counts the equal
points a row stands for (models.geometry.CloudRows); the gradient of such a row is the sum over its points.
Source: Wang et al. 2019, "Dynamic Graph CNN for Learning on Point Clouds", arXiv:1801.07829.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch_norm import SLOPE, sum64, update_running

with warnings.catch_warnings():  # torch says once per process that its CSR tensors are "in beta state"
    warnings.filterwarnings("ignore", message="Sparse CSR")
    torch.sparse_csr_tensor([0, 0], torch.empty(0, dtype=torch.int64), torch.empty(0), (1, 1), check_invariants=False)


def _gather_max(u: Tensor, index: Tensor, with_argmax: bool) -> tuple[Tensor, Tensor | None]:
    """Maximum over each row's neighbours and the row of `u` it came from. Shape: (M, D), (M, K) -> two (M, D)."""
    flat = index.reshape(-1)
    offsets = torch.arange(0, flat.numel() + 1, index.shape[1], device=index.device)
    if u.device.type != "cpu":
        largest, _, _, argmax = torch.embedding_bag(u, flat, offsets[:-1], mode=2)  # mode 2: maximum
        return largest, argmax
    # On the CPU a sparse product with maximum as its reduction is several times faster than embedding_bag. It
    # reports the position of each maximum, ten times slower, for an operand that requires a gradient.
    with torch.set_grad_enabled(with_argmax):
        graph = torch.sparse_csr_tensor(
            offsets, flat, u.new_ones(()).expand(flat.numel()), (len(index), len(u)), check_invariants=False
        )
        largest, edge = torch.ops.aten._sparse_mm_reduce_impl(graph, u.detach().requires_grad_(with_argmax), "amax")
    return largest.detach(), flat[edge] if with_argmax else None


class _MaxBatchNormAct(torch.autograd.Function):
    """act(batch_norm(max_j(u_j + v_i))) for a non-negative scale, with the statistics of all edges."""

    @staticmethod
    def forward(ctx, u, v, scale, shift, index, weight, stats, eps, with_grad):
        largest, argmax = _gather_max(u, index, with_argmax=with_grad)
        largest += v
        if stats is None:
            k = index.shape[1]
            neighbour_sum = F.embedding_bag(index, u, mode="sum")
            edge_weight = None if weight is None else weight.repeat_interleave(k)
            in_degree = torch.bincount(index.reshape(-1), edge_weight, minlength=len(u)).to(u.dtype)
            ctx.num_edges = k * (len(u) if weight is None else int(weight.sum()))
            mean, var = _edge_statistics(u, v, neighbour_sum, in_degree, weight, k, ctx.num_edges)
        else:
            neighbour_sum = in_degree = None
            mean, var = stats
        rstd = torch.rsqrt(var + eps)
        gain = scale * rstd
        out = F.leaky_relu_(torch.addcmul(shift - mean * gain, largest, gain), SLOPE)
        ctx.save_for_backward(u, v, scale, shift, index, weight, mean, rstd, largest, argmax, neighbour_sum, in_degree)
        ctx.mark_non_differentiable(mean, var)
        return out, mean, var

    @staticmethod
    def backward(ctx, grad_out, _mean, _var):
        u, v, scale, shift, index, weight, mean, rstd, largest, argmax, neighbour_sum, in_degree = ctx.saved_tensors
        k, gain = index.shape[1], scale * rstd
        is_positive = torch.addcmul(shift - mean * gain, largest, gain) > 0
        grad = torch.where(is_positive, grad_out, grad_out * SLOPE)  # before the activation
        grad_shift = grad.sum(dim=0)
        grad_scale = ((grad * largest).sum(dim=0) - mean * grad_shift) * rstd
        grad_v = grad.mul_(gain)
        grad_u = torch.zeros_like(u).scatter_add_(0, argmax, grad_v)
        if neighbour_sum is not None:
            r0 = gain * grad_shift / ctx.num_edges
            q = gain * rstd * grad_scale / ctx.num_edges
            rows = 1 if weight is None else weight[:, None]
            centred = v - mean
            grad_v = grad_v - rows * (k * r0 + q * (neighbour_sum + k * centred))
            grad_u -= in_degree[:, None] * (r0 + q * u) + q * _sum_over_centres(rows * centred, index)
        return grad_u, grad_v, grad_scale, grad_shift, None, None, None, None, None


def _edge_statistics(u, v, neighbour_sum, in_degree, weight, k: int, num_edges: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance per channel of u_j + v_i over all edges, summed in float64."""
    rows = 1 if weight is None else weight[:, None]
    mean = sum64(rows * (neighbour_sum + k * v)) / num_edges
    square = sum64(in_degree[:, None] * u * u) + sum64(rows * v * (2 * neighbour_sum + k * v))
    var = (square / num_edges - mean * mean).clamp_min(0)
    return mean.to(u.dtype), var.to(u.dtype)


def _sum_over_centres(v: Tensor, index: Tensor) -> Tensor:
    """For each row j, the sum of v_i over the rows i that have j as a neighbour. Shape: (M, D) -> (M, D)."""
    target, order = torch.sort(index.reshape(-1))
    offsets = torch.searchsorted(target, torch.arange(len(v), device=v.device))
    return F.embedding_bag(order // index.shape[1], v, offsets, mode="sum")


class EdgeConv(nn.Sequential):
    """max over neighbours of LeakyReLU(BatchNorm(W [x_j - x_i, x_i])).

    Shape: x (M, C), index (M, K), weight (M,) or None -> (M, D). Parameters are named "0" (1x1 convolution, no bias)
    and "1" (BatchNorm), as in the published checkpoints.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(nn.Conv2d(2 * in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, index: Tensor, weight: Tensor | None = None) -> Tensor:
        norm: nn.BatchNorm2d = self[1]
        weight_a, weight_b = self[0].weight.flatten(1).chunk(2, dim=1)  # (D, C) each
        sign = torch.where(norm.weight < 0, -1.0, 1.0).to(weight_a.dtype)
        # Edge values are invariant to a shift of x up to a constant that training-mode BatchNorm removes; without
        # the shift, inputs far from the origin round u and v so coarsely that the maximum flips. Not in eval mode,
        # where a cloud's feature must not depend on the others of its batch.
        shift = x.detach().mean(dim=0) if self.training else torch.zeros_like(x[0])
        x = x - shift
        u = F.linear(x, weight_a * sign[:, None])  # (M, D)
        v = F.linear(x, (weight_b - weight_a) * sign[:, None])
        stats = None if self.training else (norm.running_mean * sign, norm.running_var)
        dtype = torch.promote_types(u.dtype, torch.float32)
        out, mean, var = _MaxBatchNormAct.apply(
            u.to(dtype),
            v.to(dtype),
            norm.weight * sign,
            norm.bias,
            index,
            weight,
            stats,
            norm.eps,
            torch.is_grad_enabled(),
        )
        if self.training:
            num_edges = index.shape[1] * (len(x) if weight is None else int(weight.sum()))
            with torch.no_grad():
                constant = (weight_b * shift).sum(dim=1)  # no matrix product: autocast would round it
                update_running(norm, mean * sign + constant, var, num_edges)
        return out


class FirstEdgeConv(EdgeConv):
    """LeakyReLU(BatchNorm(W [x_j - x_i, x_i])) of every edge: the first of two stacked edge convolutions.

    Shape: x (M, C), index (M, K) -> (M, K, D). There is no maximum to move, so edges are stored, but as u_j + v_i:
    the (M, K, 2C) input is never built.
    """

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        weight_a, weight_b = self[0].weight.flatten(1).chunk(2, dim=1)
        u, v = F.linear(x, weight_a), F.linear(x, weight_b - weight_a)
        edges = F.embedding(index, u) + v[:, None]  # (M, K, D)
        norm: nn.BatchNorm2d = self[1]
        rows = F.batch_norm(
            edges.flatten(0, 1),
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            training=self.training,
            momentum=norm.momentum,
            eps=norm.eps,
        )
        if self.training:
            norm.num_batches_tracked.add_(1)
        return F.leaky_relu(rows, SLOPE, inplace=True).view_as(edges)
