"""Alignment networks of PointNet (T-Nets), and the penalty on what they predict.

Source: Qi et al. 2017, arXiv:1612.00593; layers and names as in the code of selfsup_pcd (arXiv:2210.15904).
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.distributed import get_world_size
from models.layers.row_norm import max_over_clouds


def shared_layers(*widths: int) -> nn.Sequential:
    """Build 1x1 convolution with bias, BatchNorm and ReLU from each width to the next; `apply_shared` computes them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv1d(before, after, 1), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def apply_shared(layers: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Apply `shared_layers` to rows; return the activations of each. Shape: (M, C) -> list of (M, D).

    Rows and a matrix product, because a 1x1 convolution of (B, C, N) takes longer on a CPU.
    """
    levels = []
    for layer in layers:
        x = F.linear(x, layer.weight.flatten(1), layer.bias) if isinstance(layer, nn.Conv1d) else layer(x)
        if isinstance(layer, nn.ReLU):
            levels.append(x)
    return levels


class TNet(nn.Module):
    """Predict a matrix for each cloud and apply it to its points: y = T x for every point x.

    Shape: rows (B * N, C), B -> (B * N, C). T is the identity at initialisation.

    Attributes:
        penalty: ||T T^t - I||^2 / 2 of each cloud (B,), of the last call in train mode; None after one in eval mode.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.mlp1 = shared_layers(channels, 64, 128, 1024)
        first, second, last = nn.Linear(1024, 512), nn.Linear(512, 256), nn.Linear(256, channels * channels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        act = nn.ReLU(inplace=True)
        self.mlp2 = nn.Sequential(first, nn.BatchNorm1d(512), act, second, nn.BatchNorm1d(256), act, last)
        self.penalty: Tensor | None = None

    def forward(self, rows: Tensor, num_clouds: int) -> Tensor:
        matrix = self.predict(rows, num_clouds)
        return (rows.unflatten(0, (num_clouds, -1)) @ matrix.transpose(1, 2)).flatten(0, 1)

    def predict(self, rows: Tensor, num_clouds: int) -> Tensor:
        """Return T of each cloud, and note its penalty. Shape: (B * N, C) -> (B, C, C)."""
        hidden = apply_shared(self.mlp1[:6], rows)[-1]
        widest, norm = self.mlp1[6], self.mlp1[7]
        x = norm(F.linear(hidden, widest.weight.flatten(1), widest.bias))
        x = F.relu(max_over_clouds(x, num_clouds))  # ReLU is monotone: only maxima need it
        matrix = self.mlp2(x).unflatten(-1, (self.channels, self.channels))
        matrix = matrix + torch.eye(self.channels, dtype=matrix.dtype, device=matrix.device)
        self.penalty = _distance_from_rotation(matrix) if self.training else None
        return matrix

    def __getstate__(self) -> dict[str, Any]:
        """Leave the penalty out of copies: it belongs to a graph, which cannot be copied."""
        return {**self.__dict__, "penalty": None}


def _distance_from_rotation(matrix: Tensor) -> Tensor:
    """Compute ||T T^t - I||^2 / 2, in at least float32. Shape: (B, C, C) -> (B,)."""
    with torch.autocast(matrix.device.type, enabled=False):
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        gram = matrix @ matrix.transpose(1, 2)
        return (gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)).square().sum(dim=(1, 2)) / 2


def transform_penalty(module: nn.Module) -> Tensor | None:
    """Sum the penalties of all T-Nets in a module, of its last call in train mode; None where it has none.

    Returns:
        (B,), one value for each cloud, differentiable; None as well where no T-Net was called in train mode.
    """
    found = [part.penalty for part in module.modules() if isinstance(part, TNet) and part.penalty is not None]
    return sum(found[1:], found[0]) if found else None


def penalty_term(module: nn.Module, weight: float) -> dict[str, Tensor]:
    """Return {"loss/transform": weight * the penalty summed over the batch of all ranks}; empty where there is none."""
    penalty = transform_penalty(module) if weight else None
    if penalty is None:
        return {}
    # Gradients are averaged over the ranks, and this is a sum over all of them.
    return {"loss/transform": weight * get_world_size() * penalty.sum()}
