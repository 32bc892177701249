"""Tiles, accumulation types and launches, shared by all kernels.

A program processes STEPS tiles of ROWS x COLUMNS elements, one below the other; program numbers run over column blocks
first. Row numbers are 64-bit, because they are multiplied by strides.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels import SWITCH

# Fused a * b + c: triton's default up to 3.9, which announces another for its next version.
OPTIONS = {"enable_fp_fusion": True}
WARPS = 4  # of every program
MAX_COLUMNS = 256  # widest tile; up to it a tile spans all channels, so that the neighbours of a row are read once
STEPS = 8  # tiles per program, accumulated where it computes sums


def tile_shape(width: int, dtype: torch.dtype, max_columns: int = MAX_COLUMNS) -> dict[str, int]:
    """Return launch options for rows of `width` channels: 16 contiguous bytes per thread."""
    columns = min(triton.next_power_of_2(width), max_columns)
    elements = WARPS * 32 * 16 // dtype.itemsize
    rows = max(elements // columns, 1)
    return {"ROWS": rows, "COLUMNS": columns, "STEPS": STEPS, "num_warps": WARPS, **OPTIONS}


def count_blocks(num_rows: int, width: int, shape: dict[str, int]) -> tuple[int, int]:
    """Return the number of row blocks and of programs of a launch."""
    blocks = triton.cdiv(num_rows, shape["ROWS"] * shape["STEPS"])
    return blocks, blocks * triton.cdiv(width, shape["COLUMNS"])


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which values of `dtype` are accumulated: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def wide_tl(dtype: torch.dtype) -> tl.dtype:
    """Return `wide` as a triton type."""
    return tl.float64 if dtype == torch.float64 else tl.float32


@contextmanager
def launch_on(x: Tensor) -> Iterator[None]:
    """Launch kernels on the device of a tensor.

    Raises:
        RuntimeError: triton could not build or start one; names the switch that avoids it.
    """
    with torch.cuda.device_of(x):
        try:
            yield
        except Exception as error:  # many types: no compiler, no Python headers, an unsupported device
            raise RuntimeError(
                f"a triton kernel could not be built or started ({type(error).__name__}: {error}); triton needs a C "
                f"compiler (gcc or clang), Python's header files, and a device it supports. With {SWITCH}=0 in the "
                "environment torch's own operations compute the same, more slowly"
            ) from error


@triton.jit
def block_of(program, width, COLUMNS: tl.constexpr):
    """Return the row block of a program, its columns, and which of them exist."""
    column_blocks = tl.cdiv(width, COLUMNS)
    column = (program % column_blocks) * COLUMNS + tl.arange(0, COLUMNS)
    return (program // column_blocks).to(tl.int64), column, column < width
