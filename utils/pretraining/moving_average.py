"""An exponential moving average of the encoder's weights, kept beside a pre-training that knows nothing of it."""

import copy

from torch import nn

from models.layers.averaging import move_towards


class MovingAverage:
    """A copy of an encoder that follows it; its own weights learn nothing.

    Attributes:
        encoder: the averaged one, on the device of the other.

    Args:
        encoder: as it begins.
        decay: share of the average that an update keeps, in (0, 1).
    """

    def __init__(self, encoder: nn.Module, decay: float):
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.decay = decay

    def update(self, encoder: nn.Module, step: int) -> None:
        """Move towards `encoder`; BatchNorm's running statistics too, while whole numbers are copied.

        Early steps keep less, (1 + step) / (10 + step), so that the untrained weights are soon forgotten.

        Args:
            step: number of optimiser steps so far in the run, from 1.
        """
        move_towards(self.encoder, encoder, 1 - min(self.decay, (1 + step) / (10 + step)))
