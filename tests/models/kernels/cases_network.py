"""DGCNN by its kernels against the published formulation in float64."""

from collections import Counter

import pytest
import torch
from torch.testing import assert_close

from models.encoders import dgcnn
from models.encoders.dgcnn import DGCNN
from models.kernels import max_act as max_act_module
from models.kernels import pooled_norm
from models.kernels.knn_tiled import nearest_tiled
from models.kernels.max_act import max_act
from models.kernels.pooled_norm import column_sums, pooled_batch_norm_act
from models.rows import dense_rows
from tests.models.layers import published_formulation
from tests.support.random_norms import randomise_norms

pytestmark = pytest.mark.usefixtures("by_kernels")


@pytest.fixture(autouse=True)
def _no_merging(monkeypatch):
    """Keep copies of points, as on a CUDA device."""
    monkeypatch.setattr(dgcnn, "merge_copies", lambda points, _: dense_rows(points))


class Counted:
    """Kernel whose launches are counted under its name."""

    def __init__(self, kernel, name, counts):
        self.kernel, self.name, self.counts = kernel, name, counts

    def __getitem__(self, grid):
        self.counts[self.name] += 1
        return self.kernel[grid]


def test_every_layer_of_a_training_step_runs_its_kernels(device, monkeypatch):
    counts = Counter()
    for module in (max_act_module, pooled_norm):
        for name in [name for name in vars(module) if name.endswith("_kernel")]:
            monkeypatch.setattr(module, name, Counted(getattr(module, name), name, counts))
    DGCNN(3, emb_dims=70).to(device)(torch.randn(2, 7, 3, device=device)).sum().backward()
    layers = {"_max_act_kernel": 4, "_gather_gradient_kernel": 4}
    assert counts == layers | {"_column_sums_kernel": 1, "_pool_kernel": 1, "_pool_gradient_kernel": 1}


def test_dgcnn_equals_the_published_network(device):
    network = randomise_norms(DGCNN(3, emb_dims=70).double().to(device))
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
    assert_close([*ours, *buffers], [*published, *network.buffers()], rtol=1e-8, atol=1e-9)


def test_under_autocast_features_stay_near(device):
    network, points = DGCNN(3, emb_dims=70).to(device), torch.randn(2, 7, 3, device=device)
    exact = network.eval()(points)
    with torch.autocast(device.type, torch.bfloat16):
        features = network(points)
    features.sum().backward()
    assert features.dtype == torch.float32
    assert (features - exact).norm() < 0.05 * exact.norm()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("launcher", [column_sums, max_act, nearest_tiled, pooled_batch_norm_act])
def test_torch_compile_leaves_a_launcher_alone(launcher):
    assert launcher._torchdynamo_disable
