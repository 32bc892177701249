"""Triton kernels for CUDA devices, and the functions that launch them.

All modules but `knn` import triton, so they are imported only where kernels run: on a CUDA device, or in tests under
Triton's interpreter (TRITON_INTERPRET=1), which runs them on CPU tensors.

Letters: M rows, D channels, K neighbours, B clouds, N points, E channels of the projection.
"""

import os
from importlib.util import find_spec

from torch import Tensor

SWITCH = "TRITON_KERNELS"  # environment variable; 0 selects torch's operations instead


def can_run(x: Tensor) -> bool:
    """Whether kernels run on a tensor: on CUDA, with triton installed (never on Windows), unless switched off."""
    return x.is_cuda and os.environ.get(SWITCH) != "0" and find_spec("triton") is not None
