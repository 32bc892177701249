"""Labels packed into the bits that float32 values leave free in float64, so that one reduction returns both."""

import torch
from torch import Tensor

LABEL_BITS = 28  # a float64 has 29 more bits of mantissa than a float32
NEAR_ZERO = 2.0**-300  # in place of 0, whose labels would be denormal numbers, which some processors flush to 0


def with_labels(values: Tensor, labels: Tensor) -> Tensor:
    """Pack float32 values and int64 labels below 2**LABEL_BITS into float64 numbers that order as the values do.

    Labels decide the order among equal values.
    """
    numbers = values.double().add_(NEAR_ZERO)  # all others stay as they are
    return numbers.view(torch.int64).bitwise_or_(labels).view(torch.float64)


def labels_of(packed: Tensor) -> Tensor:
    """Return the labels that `with_labels` packed; for NaN, any number below 2**LABEL_BITS."""
    return packed.view(torch.int64).bitwise_and(2**LABEL_BITS - 1)
