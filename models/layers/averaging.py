"""Moving averages of a network's weights."""

import torch
from torch import nn


@torch.no_grad()
def move_towards(average: nn.Module, module: nn.Module, share: float) -> None:
    """Move every entry of a network's state by a share towards another's; whole numbers, such as counters, are copied.

    Args:
        average: changed in place.
        module: of the same architecture.
        share: in [0, 1]; 1 copies all.
    """
    new = module.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(new[name], share)
        else:
            value.copy_(new[name])
