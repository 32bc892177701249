"""Sparse convolutions of voxels, with exact gradients, by gathering and matrix products.

Parameters have the names, shapes and first values of MinkowskiEngine's: `kernel` (K, C, D), or (C, D) for size 1, whose
offsets are in the order of `cube_offsets`, and `bias` (1, D). out[u] = sum over offsets k of x[u + k] kernel[k].

Letters: M voxels, C and D channels, K offsets of a kernel, R rows and S offsets of a block.
Source: Choy et al. 2019, arXiv:1904.08755.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.layers.row_norm import norm_act
from models.sparse.kernel_map import Block, KernelMap, MapPair
from models.sparse.sparse_tensor import SparseTensor


def convolve(x: Tensor, kernel: Tensor, maps: MapPair) -> Tensor:
    """Convolve rows of voxels; under autocast in its type.

    Shape: x (M, C), kernel (K, C, D) -> (M', D). Rows are added in a fixed order: the result is the same in every run.
    """
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, kernel = x.to(kind), kernel.to(kind)
    return _Convolve.apply(x, kernel, maps)


class _Convolve(torch.autograd.Function):
    """Saves the input and the kernel alone: gathered rows are gathered again."""

    @staticmethod
    def forward(ctx, x, kernel, maps):
        ctx.save_for_backward(x, kernel)
        ctx.maps = maps
        out = x.new_zeros(maps.forward.num_out, kernel.shape[2], dtype=_wide(x))
        for block, inputs, weight in _gathered(x, kernel, maps.forward):
            out.index_add_(0, block.rows, (inputs @ weight).to(out.dtype))
        return out.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """Gather gradients of outputs at the inputs: they serve the gradient of the input and that of the kernel."""
        x, kernel = ctx.saved_tensors
        _, back, is_mirrored = ctx.maps
        needs_x, needs_kernel, _ = ctx.needs_input_grad
        transposed = (kernel.flip(0) if is_mirrored else kernel).transpose(1, 2).contiguous()  # (K, D, C)
        grad_x = torch.zeros_like(x, dtype=_wide(x)) if needs_x else None
        grad_kernel = torch.zeros_like(transposed, dtype=_wide(x)) if needs_kernel else None
        for block, grads, weight in _gathered(grad, transposed, back):
            if needs_x:
                grad_x.index_add_(0, block.rows, (grads @ weight).to(grad_x.dtype))
            if needs_kernel:
                part = grads.t() @ x.index_select(0, block.rows)  # (S * D, C)
                grad_kernel.index_add_(0, block.offsets, part.view(-1, *transposed.shape[1:]).to(grad_kernel.dtype))
        if needs_x:
            grad_x = grad_x.to(x.dtype)
        if needs_kernel:
            grad_kernel = (grad_kernel.flip(0) if is_mirrored else grad_kernel).transpose(1, 2).to(kernel.dtype)
        return grad_x, grad_kernel, None


def _wide(x: Tensor) -> torch.dtype:
    """Return the type of sums: float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def _gathered(x: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """Yield blocks with the inputs of their rows, (R, S * C), and the weights of their offsets, (S * C, D).

    The inputs are overwritten by those of the next block.
    """
    width = x.shape[1]
    padded = torch.cat([x, x.new_zeros(1, width)])
    buffer = x.new_empty(max(block.index.numel() for block in kernel_map.blocks), width)
    offsets = weight = None
    for block in kernel_map.blocks:
        if block.offsets is not offsets:
            offsets = block.offsets
            weight = kernel.index_select(0, offsets).flatten(0, 1)
        rows = torch.index_select(padded, 0, block.index.reshape(-1), out=buffer[: block.index.numel()])
        yield block, rows.view(len(block.index), -1), weight


class _KernelModule(nn.Module):
    def __init__(self, volume: int, in_channels: int, out_channels: int, bias: bool, fan: int):
        super().__init__()
        shape = (in_channels, out_channels) if volume == 1 else (volume, in_channels, out_channels)
        bound = (volume * fan) ** -0.5
        self.kernel = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1, out_channels).uniform_(-bound, bound)) if bias else None

    def _plus_bias(self, x: Tensor) -> Tensor:
        return x if self.bias is None else x + self.bias


class SparseConv(_KernelModule):
    """Convolution of size^3 and stride 1: the same voxels. Shape: (M, C) -> (M, D)."""

    def __init__(self, in_channels: int, out_channels: int, size: int = 3, bias: bool = False):
        super().__init__(size**3, in_channels, out_channels, bias, fan=in_channels)
        self.size = size

    def forward(self, x: SparseTensor) -> SparseTensor:
        if self.size == 1:
            return x.with_features(self._plus_bias(x.features @ self.kernel))
        return x.with_features(self._plus_bias(convolve(x.features, self.kernel, x.level.neighbours(self.size))))


class DownConv(_KernelModule):
    """Convolution of 2^3 and stride 2, to voxels of twice the size. Shape: (M, C) -> (M', D)."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False):
        super().__init__(8, in_channels, out_channels, bias, fan=in_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        level, down, _ = x.level.coarser
        return SparseTensor(self._plus_bias(convolve(x.features, self.kernel, down)), level)


class UpConv(_KernelModule):
    """Transpose of `DownConv`, to the voxels that the input was made from. Shape: (M', C) -> (M, D)."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False):
        super().__init__(8, in_channels, out_channels, bias, fan=out_channels)

    def forward(self, x: SparseTensor, like: SparseTensor) -> SparseTensor:
        """Return features of the voxels of `like`.

        Raises:
            ValueError: the voxels of x are not those that hold the voxels of `like`.
        """
        level, _, up = like.level.coarser
        if x.level is not level:
            raise ValueError(f"{len(x.level)} voxels that were not made from the {len(like.level)} of `like`")
        return like.with_features(self._plus_bias(convolve(x.features, self.kernel, up)))


class VoxelNorm(nn.Module):
    """BatchNorm over all voxels of a batch, and ReLU. Shape: (M, D) -> (M, D), at least float32.

    After `convert_batch_norms` statistics are those of the voxels of all processes, however many each has.
    """

    def __init__(self, channels: int, momentum: float = 0.1):
        super().__init__()
        self.bn = nn.BatchNorm1d(channels, momentum=momentum)

    def forward(self, x: SparseTensor, relu: bool = True) -> SparseTensor:
        rows = x.features.to(torch.promote_types(x.features.dtype, torch.float32))
        return x.with_features(norm_act(rows, self.bn, 0.0 if relu else 1.0)[0])
