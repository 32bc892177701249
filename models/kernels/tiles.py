"""What all kernels share: the tile of a program, the types of sums, the launch.

A program owns STEPS tiles of ROWS x COLUMNS elements, one below the other; programs are numbered with the column blocks
fastest. Rows are 64-bit, because they are multiplied by strides.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels import SWITCH

# a * b + c as one operation: the default of triton until 3.9, which says that the next one's will be otherwise.
OPTIONS = {"enable_fp_fusion": True}
WARPS = 4  # of every program
MAX_COLUMNS = 256  # a tile spans all channels up to this, so that the neighbours of a row are read once
STEPS = 8  # tiles that a program goes through, and adds up where it has sums


def tile_shape(width: int, dtype: torch.dtype, max_columns: int = MAX_COLUMNS) -> dict[str, int]:
    """Launch options for rows of `width` channels: 16 contiguous bytes for every thread."""
    columns = min(triton.next_power_of_2(width), max_columns)
    elements = WARPS * 32 * 16 // dtype.itemsize
    rows = max(elements // columns, 1)
    return {"ROWS": rows, "COLUMNS": columns, "STEPS": STEPS, "num_warps": WARPS, **OPTIONS}


def count_blocks(num_rows: int, width: int, shape: dict[str, int]) -> tuple[int, int]:
    """Row blocks, and programs, of a launch."""
    blocks = triton.cdiv(num_rows, shape["ROWS"] * shape["STEPS"])
    return blocks, blocks * triton.cdiv(width, shape["COLUMNS"])


def wide(dtype: torch.dtype) -> torch.dtype:
    """Type in which values of `dtype` are added up: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def wide_tl(dtype: torch.dtype) -> tl.dtype:
    """`wide` as a triton type."""
    return tl.float64 if dtype == torch.float64 else tl.float32


@contextmanager
def launch_on(x: Tensor) -> Iterator[None]:
    """Launch kernels on the device of a tensor.

    Raises:
        RuntimeError: triton could not build or start one; says how to do without.
    """
    with torch.cuda.device_of(x):
        try:
            yield
        except Exception as error:  # of many types: no compiler, no Python headers, a device that triton does not know
            raise RuntimeError(
                f"a triton kernel could not be built or started ({type(error).__name__}: {error}); triton needs a C "
                f"compiler (gcc or clang), Python's header files, and a device it supports. With {SWITCH}=0 in the "
                "environment torch's own operations compute the same, more slowly"
            ) from error


@triton.jit
def block_of(program, width, COLUMNS: tl.constexpr):
    """Row block, columns, and which columns exist."""
    column_blocks = tl.cdiv(width, COLUMNS)
    column = (program % column_blocks) * COLUMNS + tl.arange(0, COLUMNS)
    return (program // column_blocks).to(tl.int64), column, column < width
