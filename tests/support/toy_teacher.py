"""An image teacher without weights: the colour of a view."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import nn


class ToyTeacher(nn.Module):
    """Mean of each channel times a factor, and a 1. Shape: (B, 3, S, S) -> (B, 4)."""

    feature_dim, image_size = 4, 8

    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, images):
        return torch.cat([images.mean(dim=(2, 3)) * self.factor, torch.ones(len(images), 1)], dim=1)


@contextmanager
def toy_teacher(factor: float = 1.0) -> Iterator[None]:
    """Let --image_teacher name the toy in this block, whatever its value."""
    with patch("utils.multiview.image_teacher.load_image_teacher", lambda name: ToyTeacher(factor)):
        yield
