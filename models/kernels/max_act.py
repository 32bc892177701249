"""act(max_j u_j + v_i) by the kernels of this package: an edge convolution whose BatchNorm is in its weights."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.batch_norm import SLOPE
from models.kernels.edge_backward import max_gradient
from models.kernels.edge_forward import edge_forward


class _MaxAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, v, index, dtype, with_grad):
        found = edge_forward(u, v, index, need_statistics=False, with_argmax=with_grad, activated=dtype)
        ctx.save_for_backward(found.largest, found.argmax, index)
        ctx.types = u.dtype, v.dtype
        return found.largest

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        out, argmax, index = ctx.saved_tensors
        # LeakyReLU keeps the sign, so its result tells its slope.
        grad = torch.ops.aten.leaky_relu_backward(grad_out.contiguous(), out, SLOPE, True)
        of_u, of_v = ctx.types
        return max_gradient(grad.to(of_u), argmax, index), grad.to(of_v), None, None, None


def max_act(u: Tensor, v: Tensor, index: Tensor, dtype: torch.dtype) -> Tensor:
    """LeakyReLU(max_j u_j + v_i) in type `dtype`. Shape: u, v (M, D), index (M, K) -> (M, D).

    Args:
        u: bfloat16 or float16 halve the bytes that the edges move; v may be of another type.
        index: rows of u, K <= 256.
    """
    return _MaxAct.apply(u.contiguous(), v.contiguous(), index.contiguous(), dtype, torch.is_grad_enabled())
