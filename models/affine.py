"""BatchNorm as an affine map per channel, and the activation that follows it: shared by layers and kernels."""

import torch
from torch import Tensor

from models.distributed import all_reduce_sum

SLOPE = 0.2  # of every LeakyReLU in DGCNN


class Affine:
    """BatchNorm as gain * x + offset per channel, with what its backward pass needs. All float64."""

    def __init__(self, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor, eps: float):
        self.mean, self.rstd = mean, torch.rsqrt(var + eps)
        self.gain = scale * self.rstd
        self.offset = shift - self.gain * mean

    def through_statistics(
        self, grad_shift: Tensor, grad_scale: Tensor, count: int, sync: bool
    ) -> tuple[Tensor, Tensor]:
        """Return a and b: the batch statistics subtract a + b * x from the gradient of a row x.

        Args:
            count: rows that the statistics were computed from.
            sync: sum the two gradients over all ranks first.
        """
        if sync:
            grad_shift, grad_scale = all_reduce_sum(torch.stack([grad_shift, grad_scale]))
        b = self.gain * self.rstd * grad_scale / count
        return self.gain * grad_shift / count - b * self.mean, b
