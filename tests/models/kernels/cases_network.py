"""DGCNN by its kernels against the published formulation in float64."""

import pytest
import torch
from torch.testing import assert_close

from models.encoders import dgcnn
from models.encoders.dgcnn import DGCNN
from models.layers.pooled_conv import PooledConv
from models.rows import CloudRows, dense_rows
from tests.models.layers import published_formulation

pytestmark = pytest.mark.usefixtures("by_kernels")


@pytest.fixture(autouse=True)
def _no_merging(monkeypatch):
    """As on a CUDA device."""
    monkeypatch.setattr(dgcnn, "merge_copies", dense_rows)


def test_dgcnn_equals_the_published_network(device):
    network = DGCNN(3, emb_dims=70).double().to(device)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.weight)
    points = torch.randn(2, 7, 3, dtype=torch.float64, device=device)

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


def test_under_autocast_features_stay_near(device):
    network, points = DGCNN(3, emb_dims=70).to(device), torch.randn(2, 12, 3, device=device)
    exact = network.eval()(points)
    with torch.autocast(device.type, torch.bfloat16):
        features = network(points)
    features.sum().backward()
    assert features.dtype == torch.float32
    assert (features - exact).norm() < 0.05 * exact.norm()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # by torch itself, in torch 2.15
def test_a_compiled_layer_leaves_its_kernels_alone(device):
    layer, x = PooledConv(3, 7).to(device), torch.randn(8, 3, device=device)
    exact, ours = layer(x, CloudRows([4, 4])), torch.compile(layer, backend="eager")(x, CloudRows([4, 4]))
    assert_close(ours, exact)
    ours[0].sum().backward()
