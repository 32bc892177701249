"""Nearest neighbours of each cloud without storing its N x N distances.

`bash benchmarks/gpu.sh` must still decide whether this beats topk (models/kernels/knn.py).

A program holds ROWS query points and scans the cloud COLUMNS points at a time. While any row has a candidate below the
row's k-th smallest, each such row replaces its k-th smallest by its smallest candidate. In random order only
k (1 + ln(N / k)) of N candidates qualify, so most of a block costs one comparison.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.tiles import OPTIONS, launch_on


class Blocks(NamedTuple):
    """Queries and candidates of a block, and warps of a program; defaults to be tuned by python -m benchmarks.gpu."""

    rows: int = 32
    columns: int = 64
    warps: int = 4


CHANNELS = 32  # of one matrix product
MAX_UNROLLED = 8  # channels up to which products are unrolled: tl.dot needs at least 16
_BLOCKS = Blocks()


@triton.jit
def _scores(
    x, norm, query, candidate, num_points, channels, FEW: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute |y|^2 / 2 - xy, which orders as |x - y|^2; infinite outside the cloud. Shape: (ROWS, COLUMNS)."""
    in_query, in_candidate = query < num_points, candidate < num_points
    product = tl.zeros((ROWS, COLUMNS), tl.float32)
    if FEW:
        for channel in tl.static_range(CHANNELS):
            a = tl.load(x + query * CHANNELS + channel, mask=in_query, other=0)
            b = tl.load(x + candidate * CHANNELS + channel, mask=in_candidate, other=0)
            product += a[:, None] * b[None, :]
    else:
        for first in range(0, channels, CHANNELS):
            channel = first + tl.arange(0, CHANNELS)
            in_channel = channel < channels
            a = tl.load(
                x + query[:, None] * channels + channel[None, :], mask=in_query[:, None] & in_channel[None, :], other=0
            )
            b = tl.load(
                x + candidate[None, :] * channels + channel[:, None],
                mask=in_candidate[None, :] & in_channel[:, None],
                other=0,
            )
            product = tl.dot(a, b, product, input_precision=PRECISION)
    return tl.load(norm + candidate, mask=in_candidate, other=float("inf"))[None, :] - product


@triton.jit
def _knn_kernel(
    x, norm, index, num_points, channels, K: tl.constexpr, SLOTS: tl.constexpr, FEW: tl.constexpr,
    PRECISION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(num_points, ROWS)
    cloud = (tl.program_id(0) // blocks).to(tl.int64)
    query = (tl.program_id(0) % blocks) * ROWS + tl.arange(0, ROWS)
    x += cloud * num_points * channels
    norm += cloud * num_points
    slot = tl.arange(0, SLOTS)[None, :]
    is_used = slot < K
    best = tl.where(is_used, tl.full((ROWS, SLOTS), float("inf"), tl.float32), float("-inf"))
    found = tl.zeros((ROWS, SLOTS), tl.int32)
    worst, place = tl.max(best, axis=1, return_indices=True)
    for first in range(0, num_points, COLUMNS):
        candidate = first + tl.arange(0, COLUMNS)
        score = _scores(
            x, norm, query, candidate, num_points, channels, FEW, PRECISION, ROWS, COLUMNS, CHANNELS
        )  # fmt: skip
        smallest, column = tl.min(score, axis=1, return_indices=True)
        while tl.max((smallest < worst).to(tl.int32), axis=0) > 0:
            is_row = (smallest < worst)[:, None]
            is_slot = is_row & (slot == place[:, None])
            best = tl.where(is_slot, smallest[:, None], best)
            found = tl.where(is_slot, first + column[:, None], found)
            worst, place = tl.max(best, axis=1, return_indices=True)
            is_taken = is_row & (tl.arange(0, COLUMNS)[None, :] == column[:, None])
            score = tl.where(is_taken, float("inf"), score)
            smallest, column = tl.min(score, axis=1, return_indices=True)
    best = tl.where(is_used, best, float("inf"))
    row = cloud * num_points + query
    for rank in range(K):
        _, place = tl.min(best, axis=1, return_indices=True)
        is_slot = slot == place[:, None]
        tl.store(index + row * K + rank, tl.sum(tl.where(is_slot, found, 0), axis=1), mask=query < num_points)
        best = tl.where(is_slot, float("inf"), best)


@torch.compiler.disable
def nearest_tiled(x: Tensor, k: int, precision: str = "ieee", block: Blocks = _BLOCKS) -> Tensor:
    """Return the k nearest points of the same cloud, nearest first. Shape: (B, N, C) float32 -> (B, N, K) int64.

    Args:
        x: clouds centred by the caller, finite.
        k: at most N.
        precision: of the products, in triton's terms; "tf32x3" is nearly float32, "tf32" finds other neighbours.
    """
    num_clouds, num_points, channels = x.shape
    x = x.contiguous()
    norm = 0.5 * (x * x).sum(dim=-1)
    index = torch.empty(num_clouds, num_points, k, dtype=torch.int64, device=x.device)
    few = channels <= MAX_UNROLLED
    with launch_on(x):
        _knn_kernel[(num_clouds * triton.cdiv(num_points, block.rows),)](
            x, norm, index, num_points, channels, K=k, SLOTS=max(triton.next_power_of_2(k), 2), FEW=few,
            PRECISION=precision, ROWS=block.rows, COLUMNS=block.columns, CHANNELS=channels if few else CHANNELS,
            num_warps=block.warps, **OPTIONS,
        )  # fmt: skip
    return index
