"""BatchNorms in the state that training leaves them in."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def randomise_norms(module: nn.Module) -> nn.Module:
    """Give every BatchNorm of a module scales of both signs, shifts and moved statistics; return the module."""
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 1.5)
    return module
