"""Fused edge convolutions against the published formulation, in float64."""

import copy

import pytest
import torch
from torch.testing import assert_close

from models.layers.edge_conv import EdgeConv, FirstEdgeConv
from models.layers.edge_moments import edge_moments
from models.layers.neighbours import knn
from models.rows import CloudRows, Edges, flat_index
from tests.models.layers.published_formulation import edge_conv, edge_features

B, N, C, D, K = 3, 17, 5, 7, 4


@pytest.fixture
def case():
    """Make a layer with scales of both signs, input, graph, and a direction in which to take gradients."""
    torch.manual_seed(0)
    layer = EdgeConv(C, D).double()
    with torch.no_grad():
        layer[1].weight.copy_(torch.randn(D))
        layer[1].bias.copy_(torch.randn(D))
        layer[1].running_mean.copy_(torch.randn(D))
        layer[1].running_var.copy_(torch.rand(D) + 0.5)
    x = torch.randn(B, N, C, dtype=torch.float64)
    return layer, x, knn(x, K), torch.randn(B, N, D, dtype=torch.float64)


def apply(layer, rows, index, num_clouds=1):
    """Apply the layer to rows of equally large clouds."""
    return layer(rows, index, CloudRows([len(rows) // num_clouds] * num_clouds))


def fused(layer, x, index):
    return apply(layer, x.flatten(0, 1), flat_index(index), len(x)).unflatten(0, x.shape[:2])


def run(function, layer, x, index, direction):
    layer, x = copy.deepcopy(layer), x.clone().requires_grad_()
    out = function(layer, x, index)
    (out * direction).sum().backward()
    return [out, x.grad, layer[0].weight.grad, layer[1].weight.grad, layer[1].bias.grad, *layer.buffers()]


def assert_same(layer, x, index, direction, tolerance=1e-10):
    ours = run(fused, layer, x, index, direction)
    published = run(lambda f, x, i: edge_conv(x, i, f), layer, x, index, direction)
    for a, b in zip(ours, published, strict=True):
        assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_published_formulation(case, training):
    layer, x, index, direction = case
    assert_same(layer.train(training), x, index, direction)


def test_equals_it_far_from_the_origin(case):
    layer, x, index, direction = case
    assert_same(layer, x + 10, index, direction, tolerance=1e-9)


def test_equals_it_when_every_point_is_a_neighbour(case):
    layer, x, _, direction = case
    assert_same(layer, x, knn(x, N), direction)


def test_equals_it_on_duplicate_points(case):
    layer, x, _, direction = case
    x[:, 5:12] = x[:, :1]
    index = knn(x, K)
    ours = run(fused, layer, x, index, direction)
    published = run(lambda f, x, i: edge_conv(x, i, f), layer, x, index, direction)
    for name, a, b in zip(("out", "dx", "dw", "dgamma", "dbeta"), ours, published, strict=False):
        if name != "dx":  # which of several equal points receives the gradient is a free choice
            assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_equals_it_where_a_scale_is_zero(case):
    layer, x, index, direction = case
    with torch.no_grad():
        layer[1].weight[2] = 0
    assert_same(layer, x, index, direction)


def test_float32_input_far_from_the_origin_keeps_its_gradient(case):
    layer, x, index, direction = case
    exact = run(fused, layer, x + 10, index, direction)
    ours = run(fused, layer.float(), (x + 10).float(), index, direction.float())
    assert_close(ours[1].double(), exact[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [EdgeConv, FirstEdgeConv])
@pytest.mark.parametrize("only_differences", [True, False])
@pytest.mark.parametrize("offsets", [(0, 0, 0), (300, 300, 300), (0, 30, 3000)])
def test_float32_rounds_no_coarser_than_the_published_form(case, kind, training, only_differences, offsets):
    base, x, index, _ = case
    if only_differences:  # W_b = 0: edges are small beside the points
        with torch.no_grad():
            base[0].weight[:, C:] = 0
    layer = kind(C, D).double().train(training)
    layer.load_state_dict(base.state_dict())
    x, rows = (x + torch.tensor(offsets)[:, None, None]).float().flatten(0, 1), flat_index(index)
    exact = apply(layer, x.double(), rows, B)
    single, ours = kind(C, D).train(training), kind(C, D).train(training)
    single.load_state_dict(base.state_dict())
    ours.load_state_dict(base.state_dict())
    published = torch.nn.functional.leaky_relu(single[1](single[0](edge_features(x.unflatten(0, (B, N)), index))), 0.2)
    published = published.amax(dim=-1).transpose(1, 2) if kind is EdgeConv else published.permute(0, 2, 3, 1)
    error, theirs = (
        (out.double() - exact).norm() / exact.norm()
        for out in (apply(ours, x, rows, B), published.reshape(exact.shape))
    )
    assert error < max(2 * theirs, 5e-7)
    assert_close(ours[1].running_var.double(), layer[1].running_var, rtol=1e-5, atol=0)


def test_autocast_rounds_no_running_mean(case):
    layer, x, index, _ = case
    layer, x, index = layer.float(), x.float().flatten(0, 1) + 30, flat_index(index)
    exact = copy.deepcopy(layer)
    apply(exact, x, index, B)
    with torch.autocast("cpu", torch.bfloat16):
        apply(layer, x, index, B)
    spread = exact[1].running_var.sqrt()
    assert ((layer[1].running_mean - exact[1].running_mean) / spread).abs().max() < 5e-3


def test_in_eval_mode_a_cloud_does_not_feel_the_others_of_its_batch(case):
    layer, x, _, _ = case
    layer, cloud = layer.eval().float(), x[0].float()
    index = knn(cloud[None], K)[0]
    alone = apply(layer, cloud, index)
    beside = apply(layer, torch.cat([cloud, cloud + 1e4]), torch.cat([index, index + N]), 2)[:N]
    assert_close(alone, beside)


def test_first_edge_conv_keeps_every_edge(case):
    base, x, index, _ = case
    layer = FirstEdgeConv(C, D).double()
    layer.load_state_dict(base.state_dict())
    twin = copy.deepcopy(layer)
    edges = torch.nn.functional.leaky_relu(twin[1](twin[0](edge_features(x, index))), 0.2)
    assert_close(
        apply(layer, x.flatten(0, 1), flat_index(index), B),
        edges.permute(0, 2, 3, 1).reshape(B * N, K, D),
        rtol=1e-10,
        atol=1e-10,
    )
    assert_close(layer[1].running_var, twin[1].running_var, rtol=1e-10, atol=1e-10)


def test_autocast_does_not_round_the_moments():
    p, shifts, edges = torch.randn(600, 24), torch.randn(2, 24), Edges(torch.randint(0, 600, (600, 4)))
    exact = edge_moments(p, shifts, edges, CloudRows([400, 200]))
    with torch.autocast("cpu", torch.bfloat16):
        ours = edge_moments(p, shifts, edges, CloudRows([400, 200]))
    assert torch.equal(ours.second, exact.second)
    assert torch.equal(ours.mean, exact.mean)
