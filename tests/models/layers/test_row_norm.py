"""Fused BatchNorm, activation and pooling against torch's own layers, in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.layers import row_norm
from models.layers.pooled_conv import PooledConv
from models.layers.row_norm import PointwiseConv
from models.rows import CloudRows
from tests.support.random_norms import randomise_norms

C, D = 5, 7
LENGTHS = [18, 1, 40]


@pytest.fixture(params=[row_norm.BLOCK, 10 * D])
def block(request, monkeypatch):
    """Process all rows at once, or in several blocks of which the last is smaller."""
    monkeypatch.setattr(row_norm, "BLOCK", request.param)


def randomise(layer):
    """Give a layer scales of both signs, two of them 0 and one without a shift, and running statistics."""
    torch.manual_seed(0)
    norm = randomise_norms(layer.double())[1]
    with torch.no_grad():
        norm.weight[[2, 4]] = 0
        norm.bias[4] = 0
    return layer


def published(layer, points):
    """Compute LeakyReLU(BatchNorm(W x)) by torch's layers. Shape: (M, C) -> (M, D)."""
    return F.leaky_relu(layer[1](layer[0](points.T[None])), 0.2)[0].T


def results(outputs, layer, x):
    """Return outputs, gradients in a fixed direction, and buffers."""
    torch.manual_seed(1)
    sum((out * torch.randn(out.shape, dtype=out.dtype)).sum() for out in outputs).backward()
    return [*outputs, x.grad, layer[0].weight.grad, layer[1].weight.grad, layer[1].bias.grad, *layer.buffers()]


@pytest.mark.parametrize("training", [True, False])
def test_pointwise_conv_equals_torchs_layers_far_from_the_origin(block, training):
    layer = randomise(PointwiseConv(C, D)).train(training)
    twin = copy.deepcopy(layer)
    x = (torch.randn(sum(LENGTHS), C, dtype=torch.float64) + 10).requires_grad_()
    again = x.detach().clone().requires_grad_()
    theirs = results([published(twin, again)], twin, again)
    assert_close(results([layer(x)], layer, x), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("copies", [None, [1, 6, 3]])
@pytest.mark.parametrize("training", [True, False])
def test_pooled_conv_equals_torchs_layers_and_pooling(block, training, copies):
    layer = randomise(PooledConv(C, D)).train(training)
    twin = copy.deepcopy(layer)
    x = torch.randn(sum(LENGTHS), C, dtype=torch.float64, requires_grad=True)
    again = x.detach().clone().requires_grad_()
    weight = None
    parts = list(again.split(LENGTHS))
    if copies:
        weight = torch.ones(len(x), dtype=torch.float64)
        weight[[0, LENGTHS[0], LENGTHS[0] + LENGTHS[1]]] = torch.tensor(copies, dtype=torch.float64)
        parts = [torch.cat([part, part[:1].expand(number - 1, -1)]) for part, number in zip(parts, copies)]
    activated = published(twin, torch.cat(parts)).split([len(part) for part in parts])
    theirs = [torch.stack([cloud.max(dim=0).values for cloud in activated])]
    theirs += [torch.stack([cloud.mean(dim=0) for cloud in activated])]
    ours = layer(x, CloudRows(LENGTHS, weight))
    assert_close(results(ours, layer, x), results(theirs, twin, again), rtol=1e-9, atol=1e-9)


def test_pooling_keeps_its_precision_in_float32(block):
    layer = randomise(PooledConv(C, D)).train()
    x = torch.randn(3000, C, dtype=torch.float64) + 3
    clouds = CloudRows([1000] * 3)
    exact = copy.deepcopy(layer)(x, clouds)
    ours = layer.float()(x.float(), clouds)
    for a, b in zip(ours, exact):
        assert ((a.double() - b).norm() / b.norm()).item() < 2e-6


@pytest.mark.parametrize("layer", [PointwiseConv(C, D), PooledConv(C, D)])
def test_a_single_sample_has_no_statistics(layer):
    with pytest.raises(ValueError, match="at least 2 samples"):
        layer.train()(torch.randn(1, C), *([CloudRows([1])] if isinstance(layer, PooledConv) else []))
