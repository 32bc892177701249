"""Compile every kernel for an H200 on a machine without a GPU, as the launchers would launch them.

The interpreter accepts code that the compiler rejects. Here each launch compiles to machine code instead of running,
and its tensors become zeros. Prints the names of the kernels.
"""

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

torch.compiler.disable = lambda function: function  # importing torch's compiler takes seconds

from models.kernels.knn_tiled import nearest_tiled  # noqa: E402
from models.kernels.max_act import max_act  # noqa: E402
from models.kernels.pooled_norm import column_sums, pooled_batch_norm_act  # noqa: E402
from models.rows import Edges  # noqa: E402


class Hopper:
    """The part of a driver that compiling needs."""

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
        for tensor in filter(torch.is_tensor, args):
            tensor.zero_()
        print(self.__name__)

    return launch


def max_act_step(dtype: torch.dtype, num_rows: int, width: int) -> None:
    u = torch.zeros(num_rows, width, requires_grad=True)
    edges = Edges(torch.zeros(num_rows, 20, dtype=torch.int64))
    max_act(u.to(dtype), u, edges, torch.float32).sum().backward()


def pool_step(dtype: torch.dtype, num_points: int, width: int, *, train: bool) -> None:
    y = torch.zeros(2, num_points, width, dtype=dtype, requires_grad=True)
    scale = torch.ones(width, requires_grad=True)
    statistics = column_sums(y.detach().flatten(0, 1), y.detach()[0, 0])
    count = 2 * num_points if train else 0
    largest, mean = pooled_batch_norm_act(y, scale, scale, *statistics, count, 1e-5, sync=False)
    (largest + mean).sum().backward()


triton.runtime.driver.set_active(Hopper())
JITFunction.__getitem__ = compile_instead
max_act_step(torch.bfloat16, 999, 256)
max_act_step(torch.float32, 999, 64)
pool_step(torch.bfloat16, 2048, 1024, train=True)
pool_step(torch.float64, 5, 7, train=False)  # one block: a count of 1 becomes a constant
for channels in (3, 64):
    nearest_tiled(torch.zeros(2, 100, channels), 20)
