"""Triton kernels for CUDA devices, and the functions that launch them.

The modules of this package import triton and are themselves imported only where their kernels run: on a CUDA device,
or under Triton's interpreter (TRITON_INTERPRET=1), which runs them on CPU tensors for the tests.

Letters: M rows, D channels, K neighbours, B clouds, N points, E channels of the projection.
"""

from importlib.util import find_spec

from torch import Tensor


def can_run(x: Tensor) -> bool:
    """Whether the kernels take this tensor: it is on a CUDA device and triton is installed (on Windows it is not)."""
    return x.is_cuda and find_spec("triton") is not None
