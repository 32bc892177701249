"""DGCNN by its kernels against the published formulation in float64."""

import pytest
import torch
from torch.testing import assert_close

from models import batch_norm, dgcnn, edge_conv
from models.dgcnn import DGCNN
from models.geometry import dense_rows
from tests.models import published_formulation


@pytest.fixture
def _by_kernels(monkeypatch):
    """What a CUDA device chooses by itself."""
    for module in (batch_norm, edge_conv):
        monkeypatch.setattr(module, "can_run", lambda x: True)
    monkeypatch.setattr(dgcnn, "merge_copies", dense_rows)


@pytest.mark.usefixtures("_by_kernels")
@pytest.mark.parametrize("training", [True, False])
def test_dgcnn_equals_the_published_network(device, training):
    network = DGCNN(4, emb_dims=70).double().train(training).to(device)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.weight)
    points = torch.randn(3, 9, 3, dtype=torch.float64, device=device)

    def run(function):
        network.zero_grad()
        features = function()
        features.square().mean().backward()
        return [features.detach(), *(parameter.grad.clone() for parameter in network.parameters())]

    state = {name: value.clone() for name, value in network.state_dict().items()}
    ours = run(lambda: network(points))
    buffers = [value.clone() for value in network.buffers()]
    network.load_state_dict(state)
    published = run(lambda: published_formulation.dgcnn(points, network))
    for a, b in zip([*ours, *buffers], [*published, *network.buffers()], strict=True):
        assert_close(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.usefixtures("_by_kernels")
def test_under_autocast_features_stay_near(device):
    network, points = DGCNN(4, emb_dims=70).to(device), torch.randn(3, 40, 3, device=device)
    exact = network.eval()(points)
    with torch.autocast(device.type, torch.bfloat16):
        features = network(points)
    features.sum().backward()
    assert features.dtype == torch.float32
    assert (features - exact).norm() < 0.05 * exact.norm()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
