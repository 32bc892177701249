"""Compile every kernel for an H200 on a machine without a GPU, as the launchers would launch them.

The interpreter accepts what the compiler does not. Here each launch compiles to machine code instead; what the
kernels would have written is left as it is. Prints the names of the kernels.
"""

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from models.kernels import edge_conv, knn_tiled, max_act, pooled_batch_norm


class Hopper:
    """As much of a driver as compiling needs."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0


def compile_instead(self: JITFunction, grid: tuple[int]):
    def launch(*args, **kwargs) -> None:
        kernel = self.warmup(*args, grid=grid, **kwargs)
        assert "cubin" in kernel.asm
        print(self.__name__)

    return launch


def edge_conv_step(dtype: torch.dtype, num_rows: int, width: int, weight: torch.Tensor | None, *, train: bool) -> None:
    real = torch.promote_types(dtype, torch.float32)
    uv = torch.zeros(num_rows, 2 * width, dtype=dtype, requires_grad=True)
    index = torch.zeros(num_rows, 20, dtype=torch.int64)
    ones = torch.ones(width, dtype=real, requires_grad=True)
    stats = None if train else (ones.detach(), ones.detach())
    out, *_ = edge_conv.max_batch_norm_act(uv, ones, ones, index, weight, stats, 1e-5, real)
    out.sum().backward()


def pool_step(dtype: torch.dtype, num_points: int, width: int) -> None:
    real = torch.promote_types(dtype, torch.float32)
    y = torch.zeros(2, num_points, width, dtype=dtype, requires_grad=True)
    ones = torch.ones(width, dtype=real, requires_grad=True)
    largest, mean, *_ = pooled_batch_norm.pooled_batch_norm_act(y, ones, ones, None, 1e-5)
    (largest + mean).sum().backward()


triton.runtime.driver.set_active(Hopper())
JITFunction.__getitem__ = compile_instead
edge_conv_step(torch.bfloat16, 999, 256, None, train=True)
edge_conv_step(torch.float32, 3, 7, torch.ones(3), train=True)  # one block: counts of 1 become constants
edge_conv_step(torch.float32, 999, 64, None, train=False)
rows = torch.zeros(999, 64, requires_grad=True)
max_act.max_act(rows.bfloat16(), rows, torch.zeros(999, 20, dtype=torch.int64), torch.float32).sum().backward()
pool_step(torch.bfloat16, 5, 1024)
for channels in (3, 64):
    knn_tiled.nearest_tiled(torch.zeros(2, 100, channels), 20)
