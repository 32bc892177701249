"""How a detector states a box: a class of size and of heading each, and what is left of them.

Source: Qi et al. 2018 (Frustum PointNets), arXiv:1711.08488, as VoteNet (arXiv:1904.09664) uses it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class CodedBoxes(NamedTuple):
    """heading_bin (...) int64; heading_rest (...), in half bins, in [-1, 1]; size_rest (..., 3), in mean sizes."""

    heading_bin: Tensor
    heading_rest: Tensor
    size_rest: Tensor


class BoxCode(nn.Module):
    """Code of boxes; it has no parameters, and no tensor of its own in a state dict.

    Args:
        mean_sizes: (Y, 3) metres, the mean size of the boxes of each class.
        num_headings: bins that a full turn is divided into, the first around heading 0; 1 where boxes are aligned with
            the axes, whose heading is then always 0.
    Raises:
        ValueError: a mean size that is not positive, or no bin.
    """

    def __init__(self, mean_sizes: Sequence[Sequence[float]], num_headings: int):
        super().__init__()
        sizes = torch.tensor(mean_sizes, dtype=torch.float32)
        if sizes.ndim != 2 or sizes.shape[1] != 3 or not (sizes > 0).all() or num_headings < 1:
            raise ValueError(
                f"expected three mean sizes above 0 of each class and at least 1 bin of heading, got "
                f"{tuple(sizes.shape)}, smallest {sizes.min() if sizes.numel() else 'none'}, and {num_headings} bins"
            )
        self.register_buffer("mean_sizes", sizes, persistent=False)
        self.num_headings = num_headings

    @property
    def num_classes(self) -> int:
        """Y."""
        return len(self.mean_sizes)

    def encode(self, size: Tensor, heading: Tensor, label: Tensor) -> CodedBoxes:
        """Code boxes of known class. Shape: (..., 3) metres, (...) radians, (...) int64."""
        width = 2 * math.pi / self.num_headings
        shifted = (heading + width / 2) % (2 * math.pi)
        number = (shifted / width).long().clamp_max(self.num_headings - 1)  # rounding may reach the full turn
        rest = (shifted - number.to(shifted.dtype) * width) / (width / 2) - 1
        return CodedBoxes(number, rest, size / self.mean_sizes[label] - 1)

    def decode_heading(self, heading_bin: Tensor, heading_rest: Tensor) -> Tensor:
        """Return headings in radians, in [-pi, pi). Shape: (...), (...) -> (...)."""
        if self.num_headings == 1:
            return torch.zeros_like(heading_rest)
        heading = (heading_bin + heading_rest / 2) * (2 * math.pi / self.num_headings)
        return (heading + math.pi) % (2 * math.pi) - math.pi

    def decode_size(self, label: Tensor, size_rest: Tensor) -> Tensor:
        """Return sizes in metres, which may be negative where a network says so. Shape: (...), (..., 3) -> (..., 3)."""
        return self.mean_sizes[label] * (1 + size_rest)
