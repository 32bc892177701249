"""Edge convolutions computed without their (B, N, K, 2C) edge tensor.

The published EdgeConv convolves [x_j - x_i, x_i] for every edge, normalises, activates and takes the maximum over
the K neighbours j of i. Three facts make that tensor unnecessary, without approximation:

* With W = [W_a | W_b] an edge is W_a x_j + (W_b - W_a) x_i: products over N points replace one over N * K edges.
* BatchNorm's mean and variance over all edges follow from the edges' moments (edge_moments.py). So they are known
  before any product, and BatchNorm is folded into the weights.
* LeakyReLU is monotone, so the maximum moves inside it, and the edges need nothing but a maximum of rows.

Weights, outputs, gradients and running statistics are those of the published formulation.

Letters: M rows (points of all clouds), K neighbours, C channels in, D channels out. A row may stand for several equal
points (models.rows.CloudRows); its gradient is the sum over them.
Source: Wang et al. 2019, "Dynamic Graph CNN for Learning on Point Clouds", arXiv:1801.07829.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.affine import SLOPE
from models.distributed import is_synchronised, update_running
from models.kernels import can_run
from models.layers.edge_moments import (
    NARROW,
    around_cloud_means,
    edge_moments,
    mean_of_clouds,
    projected_statistics,
)
from models.layers.packed_labels import LABEL_BITS, labels_of, with_labels
from models.rows import CloudRows, Edges

with warnings.catch_warnings():  # torch warns once per process that its CSR tensors are "in beta state"
    warnings.filterwarnings("ignore", message="Sparse CSR")
    torch.sparse_csr_tensor([0, 0], torch.empty(0, dtype=torch.int64), torch.empty(0), (1, 1), check_invariants=False)


def _gather_max(u: Tensor, index: Tensor) -> Tensor:
    """Return the maximum over each row's neighbours. Shape: u (M, D), index (M, K) -> (M, D)."""
    offsets = torch.arange(0, index.numel() + 1, index.shape[1], device=index.device)
    if u.device.type != "cpu":
        return torch.embedding_bag(u, index.reshape(-1), offsets[:-1], mode=2)[0]  # mode 2: maximum
    # On the CPU a sparse product with maximum as its reduction is several times faster than embedding_bag.
    values = u.new_ones(()).expand(index.numel())
    graph = torch.sparse_csr_tensor(offsets, index.reshape(-1), values, (len(u), len(u)), check_invariants=False)
    return torch.ops.aten._sparse_mm_reduce_impl(graph, u, "amax")[0]


def _gather_argmax(u: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return `_gather_max` and the row that each maximum came from, any of them on a tie. Shape: two (M, D)."""
    if u.dtype == torch.float32 and u.device.type == "cpu" and len(u) < 2**LABEL_BITS:
        largest = _gather_max(with_labels(u, torch.arange(len(u))[:, None]), index)
        return largest.float(), labels_of(largest).clamp_max_(len(u) - 1)  # NaN has no row of its own
    offsets = torch.arange(0, index.numel(), index.shape[1], device=index.device)
    largest, _, _, argmax = torch.embedding_bag(u, index.reshape(-1), offsets, mode=2)
    return largest, argmax


class _MaxAct(torch.autograd.Function):
    """act(max_j u_j + v_i). Shape: (M, D), (M, D), (M, K) -> (M, D).

    Processes one cloud at a time, so that its rows stay in the processor's cache. `is_flat` (D,) marks channels in
    which all neighbours tie: there the first is taken, as in the published network.
    """

    @staticmethod
    def forward(ctx, u, v, index, lengths, is_flat, with_grad):
        out = torch.empty_like(u)
        argmax = torch.empty(u.shape, dtype=torch.int32, device=u.device) if with_grad else None
        start = 0
        for length in lengths:
            rows = slice(start, start + length)
            local = index[rows] - start
            if with_grad:
                largest, from_row = _gather_argmax(u[rows], local)
                torch.add(from_row, start, out=argmax[rows])
            else:
                largest = _gather_max(u[rows], local)
            F.leaky_relu_(torch.add(largest, v[rows], out=out[rows]), SLOPE)
            start += length
        if with_grad and is_flat.any():
            argmax[:, is_flat] = index[:, :1].int()
        ctx.save_for_backward(out, argmax)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        out, argmax = ctx.saved_tensors
        # LeakyReLU keeps the sign, so its output determines its slope.
        grad = torch.ops.aten.leaky_relu_backward(grad_out, out, SLOPE, True)
        return torch.zeros_like(grad).scatter_add_(0, argmax.long(), grad), grad, None, None, None, None


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W^T, by autocast's rules only for wide x. Shape: (M, C), (D, C) -> (M, D).

    Coordinates are large beside the differences that an edge is made of, so rounding them loses most.
    """
    weight = weight.to(x.dtype)
    if x.shape[1] > NARROW:
        return F.linear(x, weight)
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x, weight)


class EdgeConv(nn.Sequential):
    """max over neighbours of LeakyReLU(BatchNorm(W [x_j - x_i, x_i])).

    Shape: x (M, C), index (M, K), clouds of M rows -> (M, D). Neighbours belong to the same cloud. Parameters are named
    "0" (1x1 convolution, no bias) and "1" (BatchNorm), as in the published checkpoints.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(nn.Conv2d(2 * in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, index: Tensor, clouds: CloudRows) -> Tensor:
        edges = Edges(index)
        u, v = self._project(x, edges, clouds)
        if can_run(x):
            from models.kernels.max_act import max_act

            return max_act(u, v, edges, v.dtype)
        is_flat = self[1].weight == 0
        return _MaxAct.apply(u.to(v.dtype), v, index, clouds.lengths, is_flat, torch.is_grad_enabled())

    def _project(self, x: Tensor, edges: Edges, clouds: CloudRows) -> tuple[Tensor, Tensor]:
        """Return u and v with u_j + v_i = BatchNorm(W [x_j - x_i, x_i]); in train mode update the running statistics.

        u has autocast's type where x is wide, v at least float32.

        Raises:
            ValueError: weights in half precision.
        """
        norm: nn.BatchNorm2d = self[1]
        weight = self[0].weight.flatten(1)  # (D, 2C)
        if weight.dtype.itemsize < 4:
            raise ValueError(
                f"weights in {weight.dtype}: edge convolutions compute with weights in float32 or float64 only; "
                f'keep those and call the network under torch.autocast("{x.device.type}", dtype={weight.dtype})'
            )
        weight_a, weight_b = weight.chunk(2, dim=1)
        # Rounding of u_j and u_i then depends on the size of their cloud, not on its distance from the origin.
        p, means = around_cloud_means(x, clouds)
        if norm.training:
            # A shift of all x adds a constant that BatchNorm removes. Eval mode must not shift, because a cloud's
            # feature must not depend on the rest of its batch.
            sync = is_synchronised(norm)
            centre = mean_of_clouds(means, clouds, sync)
            means = means - centre
            moments = edge_moments(p, means, edges, clouds, sync=sync)
            mean, var = projected_statistics(moments, weight)
            constant = (weight_b.detach() * centre).sum(dim=1)  # not a matrix product, which autocast would round
            update_running(norm, mean.detach() + constant, var.detach(), moments.num_edges)
        else:
            mean, var = norm.running_mean.double(), norm.running_var.double()
        gain = (norm.weight * torch.rsqrt(var + norm.eps))[:, None]
        offset = norm.bias - gain[:, 0] * mean
        dtype = torch.promote_types(x.dtype, torch.float32)
        u = _product(p, gain * weight_a)
        v = _product(p, gain * (weight_b - weight_a)).to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            of_cloud = F.linear(means.to(gain.dtype), gain * weight_b, offset)  # (B, D)
        return u, clouds.plus(v, of_cloud.to(dtype))


class FirstEdgeConv(EdgeConv):
    """LeakyReLU(BatchNorm(W [x_j - x_i, x_i])) of every edge: the first of two stacked edge convolutions.

    Shape: x (M, C), index (M, K), clouds of M rows -> (M, K, D). No maximum follows, so the edges u_j + v_i are stored,
    but their (M, K, 2C) input is not.
    """

    def forward(self, x: Tensor, index: Tensor, clouds: CloudRows) -> Tensor:
        u, v = self._project(x, Edges(index), clouds)
        return F.leaky_relu_(F.embedding(index, u.to(v.dtype)) + v[:, None], SLOPE)  # (M, K, D)
