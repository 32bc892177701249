"""Fused edge convolutions against the published formulation, in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.layers.edge_conv import EdgeConv, FirstEdgeConv
from models.layers.edge_moments import edge_moments
from models.layers.neighbours import knn
from models.rows import CloudRows, Edges, flat_index
from tests.models.layers.edge_conv_step import B, C, K, N, assert_same, fused, make, run
from tests.models.layers.published_formulation import edge_features

D = 7


@pytest.fixture
def case():
    layer, x, direction = make(D)
    return layer, x, knn(x, K), direction


def apply(layer, rows, index, num_clouds=B):
    """Apply the layer to rows of equally large clouds."""
    return layer(rows, index, CloudRows([len(rows) // num_clouds] * num_clouds))


@pytest.mark.parametrize("training, offset, k", [(True, 0, K), (False, 0, K), (True, 10, K), (True, 0, N)])
def test_equals_the_published_formulation_also_far_from_the_origin_and_with_all_neighbours(training, offset, k):
    layer, x, direction = make(D, offset)
    assert_same(layer.train(training), x, knn(x, k), direction, tolerance=1e-9 if offset else 1e-10)


def test_equals_it_on_duplicate_points(case):
    layer, x, _, direction = case
    x[:, 3:9] = x[:, :1]
    # which of several equal points receives the gradient is a free choice
    assert_same(layer, x, knn(x, K), direction, skip=["grad_x"])


def test_equals_it_where_a_scale_is_zero(case):
    layer, x, index, direction = case
    with torch.no_grad():
        layer[1].weight[2] = 0
    assert_same(layer, x, index, direction)


def test_float32_input_far_from_the_origin_keeps_its_gradient(case):
    layer, x, index, direction = case
    exact = run(fused, layer, x + 10, index, direction)
    ours = run(fused, layer.float(), (x + 10).float(), index, direction.float())
    assert_close(ours["grad_x"].double(), exact["grad_x"], rtol=1e-3, atol=1e-4)


def activated_edges(layer, x, index):
    """Compute LeakyReLU(BatchNorm(conv(edges))) as published. Shape: (B, N, C), (B, N, K) -> (B, N, K, D)."""
    return F.leaky_relu(layer[1](layer[0](edge_features(x, index))), 0.2).permute(0, 2, 3, 1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [EdgeConv, FirstEdgeConv])
@pytest.mark.parametrize("only_differences", [True, False])
@pytest.mark.parametrize("offsets", [(0, 0, 0), (300, 300, 300), (0, 30, 3000)])
def test_float32_rounds_no_coarser_than_the_published_form(case, kind, training, only_differences, offsets):
    base, x, index, _ = case
    if only_differences:  # W_b = 0: edges are small beside the points
        with torch.no_grad():
            base[0].weight[:, C:] = 0
    twin = kind(C, D).train(training)
    twin.load_state_dict(base.state_dict())
    layer = copy.deepcopy(twin).double()
    x, rows = (x + torch.tensor(offsets)[:, None, None]).float().flatten(0, 1), flat_index(index)
    exact = apply(layer, x.double(), rows)
    single, ours = copy.deepcopy(twin), copy.deepcopy(twin)
    published = activated_edges(single, x.unflatten(0, (B, N)), index)
    published = published.amax(dim=2) if kind is EdgeConv else published
    error, theirs = (
        (out.double() - exact).norm() / exact.norm() for out in (apply(ours, x, rows), published.reshape(exact.shape))
    )
    assert error < max(2 * theirs, 5e-7)
    assert_close(ours[1].running_var.double(), layer[1].running_var, rtol=1e-5, atol=0)


def test_autocast_rounds_no_running_mean(case):
    layer, x, index, _ = case
    layer, x, index = layer.float(), x.float().flatten(0, 1) + 30, flat_index(index)
    exact = copy.deepcopy(layer)
    apply(exact, x, index)
    with torch.autocast("cpu", torch.bfloat16):
        apply(layer, x, index)
    spread = exact[1].running_var.sqrt()
    assert ((layer[1].running_mean - exact[1].running_mean) / spread).abs().max() < 5e-3


@pytest.mark.parametrize("kind", [EdgeConv, FirstEdgeConv])
def test_autocast_rounds_no_edges_of_coordinates(case, kind):
    base, x, index, _ = case
    layer, x, index = kind(C, D), x.float().flatten(0, 1), flat_index(index)
    layer.load_state_dict(base.state_dict())
    exact = apply(layer, x, index)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(apply(layer, x, index), exact)


def test_in_eval_mode_a_cloud_does_not_feel_the_others_of_its_batch(case):
    layer, x, _, _ = case
    layer, cloud = layer.eval().float(), x[0].float()
    index = knn(cloud[None], K)[0]
    alone = apply(layer, cloud, index, 1)
    beside = apply(layer, torch.cat([cloud, cloud + 1e4]), torch.cat([index, index + N]), 2)[:N]
    assert_close(alone, beside)


def test_first_edge_conv_keeps_every_edge(case):
    base, x, index, _ = case
    layer = FirstEdgeConv(C, D).double()
    layer.load_state_dict(base.state_dict())
    twin = copy.deepcopy(layer)
    edges = activated_edges(twin, x, index).reshape(B * N, K, D)
    assert_close(apply(layer, x.flatten(0, 1), flat_index(index)), edges, rtol=1e-10, atol=1e-10)
    assert_close(layer[1].running_var, twin[1].running_var, rtol=1e-10, atol=1e-10)


def test_autocast_does_not_round_the_moments():
    p, shifts, edges = torch.randn(600, 24), torch.randn(2, 24), Edges(torch.randint(0, 600, (600, 4)))
    exact = edge_moments(p, shifts, edges, CloudRows([400, 200]))
    with torch.autocast("cpu", torch.bfloat16):
        ours = edge_moments(p, shifts, edges, CloudRows([400, 200]))
    assert torch.equal(ours.second, exact.second)
    assert torch.equal(ours.mean, exact.mean)
