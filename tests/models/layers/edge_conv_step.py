"""A training step of EdgeConv on a few small clouds: the fused layer, and the published formulation."""

import copy

import torch
from torch.testing import assert_close

from models.layers.edge_conv import EdgeConv
from models.rows import CloudRows, flat_index
from tests.models.layers.published_formulation import edge_conv
from tests.support.random_norms import randomise_norms

B, N, C, K = 3, 11, 5, 4
NAMES = ("output", "grad_x", "grad_weight", "grad_scale", "grad_shift", "mean", "var", "batches")


def make(width, offset=0.0, device="cpu", channels=C):
    """Make a layer with scales of both signs, an input, and a direction in which to take gradients."""
    torch.manual_seed(0)
    layer = randomise_norms(EdgeConv(channels, width).double())
    x = torch.randn(B, N, channels, dtype=torch.float64) + offset
    return layer.to(device), x.to(device), torch.randn(B, N, width, dtype=torch.float64, device=device)


def fused(layer, x, index):
    return layer(x.flatten(0, 1), flat_index(index), CloudRows([N] * B)).unflatten(0, (B, N))


def published(layer, x, index):
    return edge_conv(x, index, layer)


def run(function, layer, x, index, direction):
    """Return everything that a training step uses of the layer, by name."""
    layer, x = copy.deepcopy(layer), x.clone().requires_grad_()
    out = function(layer, x, index)
    (out * direction).sum().backward()
    gradients = [x.grad, layer[0].weight.grad, layer[1].weight.grad, layer[1].bias.grad]
    return dict(zip(NAMES, [out.detach(), *gradients, *layer.buffers()], strict=True))


def assert_same(layer, x, index, direction, skip=(), tolerance=1e-10):
    """Assert that the fused layer's step is the published one."""
    ours, theirs = run(fused, layer, x, index, direction), run(published, layer, x, index, direction)
    for name in set(NAMES) - set(skip):
        message = f"{name}: {{}}".format
        assert_close(ours[name], theirs[name], rtol=tolerance, atol=tolerance, msg=message)
