"""Triton kernels for CUDA devices, and the functions that launch them.

The modules of this package import triton and are themselves imported only where their kernels run: on a CUDA device,
or under Triton's interpreter (TRITON_INTERPRET=1), which runs them on CPU tensors for the tests.

Letters: M rows, D channels, K neighbours, B clouds, N points, E channels of the projection.
"""

import os
from importlib.util import find_spec

from torch import Tensor

SWITCH = "TRITON_KERNELS"  # environment variable; 0 computes by torch's operations instead


def can_run(x: Tensor) -> bool:
    """Whether the kernels take this tensor: it is on a CUDA device, triton is installed (on Windows it is not), and
    SWITCH does not forbid it."""
    return x.is_cuda and os.environ.get(SWITCH) != "0" and find_spec("triton") is not None
