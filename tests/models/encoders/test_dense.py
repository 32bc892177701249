"""Features of every point: their maximum is the encoder's feature, in value, gradient and statistics.

Those of encoders of groups of points are in test_towers.py.
"""

import copy

import pytest
import torch
from torch.testing import assert_close

from models.encoders.registry import ENCODERS, build_encoder
from models.layers.local_encoder import LocalEncoder
from tests.support.random_norms import randomise_norms

POINTWISE = [name for name, kind in ENCODERS.items() if not issubclass(kind, LocalEncoder)]


def pair(name):
    """Build two equal encoders in float64, BatchNorms with scales of both signs and one of 0."""
    torch.manual_seed(0)
    encoder = randomise_norms(build_encoder(name, 5, 31).double())
    with torch.no_grad():
        for key, value in encoder.named_parameters():
            if key.endswith("1.weight") and value.ndim == 1:
                value[3] = 0
            if "transform_net.transform" in key or key.endswith("mlp2.6.weight"):
                value += 0.01 * torch.randn_like(value)
    return encoder, copy.deepcopy(encoder)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", POINTWISE)
def test_the_maximum_of_dense_is_the_features_in_value_gradient_and_statistics(name, training):
    encoder, twin = (network.train(training) for network in pair(name))
    base = torch.randn(3, 41, 3, dtype=torch.float64)
    points, own = base.clone().requires_grad_(), base.clone().requires_grad_()
    rows, largest = encoder.dense(points)
    assert rows.shape == (3, 41, 31)
    assert torch.equal(rows.amax(dim=1), largest)
    feature = twin(own)[:, :31]
    assert_close(largest, feature)
    direction = torch.randn_like(largest)
    (largest * direction).sum().backward()
    (feature * direction).sum().backward()
    assert_close(points.grad, own.grad)
    for (key, a), b in zip(encoder.named_parameters(), twin.parameters(), strict=True):
        assert_close(a.grad, b.grad, msg=lambda text, key=key: f"{key}: {text}")
    assert_close(dict(encoder.named_buffers()), dict(twin.named_buffers()))


@pytest.mark.parametrize("name", POINTWISE)
def test_gradients_through_rows_and_maxima_add_up(name):
    encoder, twin = (network.train() for network in pair(name))
    points = torch.randn(3, 41, 3, dtype=torch.float64)
    of_rows, of_largest = torch.randn(3, 41, 31, dtype=torch.float64), torch.randn(3, 31, dtype=torch.float64)
    torch.autograd.backward(encoder.dense(points), [of_rows, of_largest])
    rows, _ = twin.dense(points)
    first = torch.zeros_like(rows).scatter_(1, rows.argmax(dim=1, keepdim=True), 1.0)
    torch.autograd.backward(rows, of_rows + first * of_largest[:, None])
    for (key, a), b in zip(encoder.named_parameters(), twin.parameters(), strict=True):
        assert_close(a.grad, b.grad, msg=lambda text, key=key: f"{key}: {text}")
