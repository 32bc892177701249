"""Edge convolutions computed without their (B, N, K, 2C) edge tensor.

A published EdgeConv convolves [x_j - x_i, x_i] for every edge, normalises, activates and takes the maximum over
the K neighbours j of i. With W = [W_a | W_b] an edge is e_ij = u_j + v_i, u = W_a x, v = (W_b - W_a) x, so one
product over N points replaces one over N * K edges. BatchNorm's affine (scale >= 0) and LeakyReLU do not
decrease, so the maximum moves inside them; channels with a negative scale are negated first. The batch
statistics of all edges follow from S_i = sum_j u_j and the in-degrees. Same weights, outputs, gradients and
running statistics as the published formulation.

Letters: B batch, N points, K neighbours, C channels in, D channels out, M = B * N.
Source: Wang et al. 2019, "Dynamic Graph CNN for Learning on Point Clouds", arXiv:1801.07829.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2

with warnings.catch_warnings():  # torch says once per process that its CSR tensors are "in beta state"
    warnings.filterwarnings("ignore", message="Sparse CSR")
    torch.sparse_csr_tensor([0, 0], torch.empty(0, dtype=torch.int64), torch.empty(0), (1, 1), check_invariants=False)


def flat_index(index: Tensor) -> Tensor:
    """Turn per-cloud neighbour indices into rows of the flattened batch. Shape: (B, N, K) -> (B * N, K)."""
    batch, num_points, k = index.shape
    start = torch.arange(batch, device=index.device) * num_points
    return (index + start[:, None, None]).reshape(batch * num_points, k)


def _gather_max(u: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum over each row's neighbours and the row of `u` it came from. Shape: (M, D), (M, K) -> two (M, D)."""
    flat = index.reshape(-1)
    offsets = torch.arange(0, flat.numel() + 1, index.shape[1], device=index.device)
    if u.device.type != "cpu":
        largest, _, _, argmax = torch.embedding_bag(u, flat, offsets[:-1], mode=2)  # mode 2: maximum
        return largest, argmax
    # On the CPU a sparse product with maximum as its reduction is 30 times faster than embedding_bag. It reports
    # the position of each maximum only for an operand that requires a gradient.
    with torch.enable_grad():
        graph = torch.sparse_csr_tensor(
            offsets, flat, u.new_ones(()).expand(flat.numel()), (len(index), len(u)), check_invariants=False
        )
        largest, edge = torch.ops.aten._sparse_mm_reduce_impl(graph, u.detach().requires_grad_(), "amax")
    return largest.detach(), flat[edge]


class _MaxBatchNormAct(torch.autograd.Function):
    """act(batch_norm(max_j(u_j + v_i))) for a non-negative scale, with the statistics of all M * K edges."""

    @staticmethod
    def forward(ctx, u, v, scale, shift, index, stats, eps):
        largest, argmax = _gather_max(u, index)
        largest = largest + v
        if stats is None:
            neighbour_sum = F.embedding_bag(index, u, mode="sum")
            in_degree = torch.bincount(index.reshape(-1), minlength=len(u)).to(u.dtype)
            mean, var = _edge_statistics(u, v, neighbour_sum, in_degree, index.shape[1])
        else:
            neighbour_sum = in_degree = None
            mean, var = stats
        rstd = torch.rsqrt(var + eps)
        normalised = (largest - mean) * rstd
        out = F.leaky_relu(normalised * scale + shift, SLOPE)
        ctx.save_for_backward(u, v, scale, shift, index, mean, rstd, largest, argmax, neighbour_sum, in_degree)
        ctx.mark_non_differentiable(mean, var)
        return out, mean, var

    @staticmethod
    def backward(ctx, grad_out, _mean, _var):
        u, v, scale, shift, index, mean, rstd, largest, argmax, neighbour_sum, in_degree = ctx.saved_tensors
        k, gain = index.shape[1], scale * rstd
        normalised = (largest - mean) * rstd
        grad = torch.where(normalised * scale + shift > 0, grad_out, grad_out * SLOPE)  # before the activation
        grad_shift = grad.sum(dim=0)
        grad_scale = (grad * normalised).sum(dim=0)
        grad_v = grad * gain
        grad_u = torch.zeros_like(u).scatter_add_(0, argmax, grad_v)
        if neighbour_sum is not None:
            r0 = gain * grad_shift / index.numel()
            q = gain * rstd * grad_scale / index.numel()
            grad_v = grad_v - k * r0 - q * (neighbour_sum + k * (v - mean))
            centre_sum = _sum_over_centres(v - mean, index)
            grad_u = grad_u - in_degree[:, None] * (r0 + q * u) - q * centre_sum
        return grad_u, grad_v, grad_scale, grad_shift, None, None, None


def _edge_statistics(u: Tensor, v: Tensor, neighbour_sum: Tensor, in_degree: Tensor, k: int):
    """Mean and biased variance per channel of u_j + v_i over all edges, summed in float64."""
    num_edges = len(u) * k
    mean = (_sum64(neighbour_sum) + k * _sum64(v)) / num_edges
    square = _sum64(in_degree[:, None] * u * u) + _sum64(v * (2 * neighbour_sum + k * v))
    var = (square / num_edges - mean * mean).clamp_min(0)
    return mean.to(u.dtype), var.to(u.dtype)


def _sum64(x: Tensor) -> Tensor:
    return x.sum(dim=0, dtype=torch.float64)


def _sum_over_centres(v: Tensor, index: Tensor) -> Tensor:
    """For each point j, the sum of v_i over the points i that have j as a neighbour. Shape: (M, D) -> (M, D)."""
    target, order = torch.sort(index.reshape(-1))
    offsets = torch.searchsorted(target, torch.arange(len(v), device=v.device))
    return F.embedding_bag(order // index.shape[1], v, offsets, mode="sum")


class EdgeConv(nn.Sequential):
    """max over neighbours of LeakyReLU(BatchNorm(W [x_j - x_i, x_i])).

    Shape: x (B, N, C), index (B, N, K) -> (B, N, D). Parameters are named "0" (1x1 convolution, no bias) and "1"
    (BatchNorm), as in the published checkpoints.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(
            nn.Conv2d(2 * in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        batch, num_points, _ = x.shape
        norm: nn.BatchNorm2d = self[1]
        weight_a, weight_b = self[0].weight.flatten(1).chunk(2, dim=1)  # (D, C) each
        sign = torch.where(norm.weight < 0, -1.0, 1.0).to(weight_a.dtype)
        x = x.reshape(batch * num_points, -1)
        # Edge values are invariant to a shift of x up to a constant that training-mode BatchNorm removes; without
        # the shift, inputs far from the origin round u and v so coarsely that the maximum flips.
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
            flat_index(index),
            stats,
            norm.eps,
        )
        if self.training:
            with torch.no_grad():
                _update_running(norm, mean * sign + weight_b @ shift, var, num_edges=index.numel())
        return out.reshape(batch, num_points, -1)


@torch.no_grad()
def _update_running(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, num_edges: int) -> None:
    """Move BatchNorm's running statistics as torch does: exponential average, unbiased variance."""
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_((var * num_edges / (num_edges - 1)).to(norm.running_var.dtype), norm.momentum)


class FirstEdgeConv(EdgeConv):
    """LeakyReLU(BatchNorm(W [x_j - x_i, x_i])) of every edge: the first of two stacked edge convolutions.

    Shape: x (B, N, C), index (B, N, K) -> (B * N, K, D). There is no maximum to move, so edges are stored, but as
    u_j + v_i: the (B, N, K, 2C) input is never built.
    """

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        weight_a, weight_b = self[0].weight.flatten(1).chunk(2, dim=1)
        x = x.flatten(0, 1)
        u, v = F.linear(x, weight_a), F.linear(x, weight_b - weight_a)
        rows = flat_index(index)
        edges = F.embedding(rows, u) + v[:, None]  # (M, K, D)
        return pointwise_norm_act(edges, self[1])


def pointwise_norm_act(x: Tensor, norm: nn.Module) -> Tensor:
    """LeakyReLU(BatchNorm(x)) over the last axis, all other axes being samples. Shape kept."""
    rows = x.reshape(-1, x.shape[-1])
    out = F.batch_norm(
        rows,
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        training=norm.training,
        momentum=norm.momentum,
        eps=norm.eps,
    )
    if norm.training:
        norm.num_batches_tracked.add_(1)
    return F.leaky_relu(out, SLOPE, inplace=True).reshape(x.shape)


class PointwiseConv(nn.Sequential):
    """LeakyReLU(BatchNorm(W x)) of every point; `dims` is 1 or 2, the rank of the stored 1x1 convolution.

    Shape: (..., C) -> (..., D). The weight keeps the published convolution's shape (D, C, 1[, 1]).
    """

    def __init__(self, in_channels: int, out_channels: int, dims: int = 1):
        conv, norm = (nn.Conv1d, nn.BatchNorm1d) if dims == 1 else (nn.Conv2d, nn.BatchNorm2d)
        super().__init__(conv(in_channels, out_channels, 1, bias=False), norm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return pointwise_norm_act(F.linear(x, self[0].weight.flatten(1)), self[1])
