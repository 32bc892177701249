"""The edge convolution by its kernels against the published formulation in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.kernels import tiles
from models.kernels.max_act import max_act
from models.rows import Edges
from tests.models.layers.edge_conv_step import NAMES, B, K, N, assert_same, fused, make, published, run
from tests.models.layers.published_formulation import exact_knn

EXACT = {"rtol": 1e-9, "atol": 1e-9}

pytestmark = pytest.mark.usefixtures("by_kernels")


def error(ours, exact):
    return ((ours.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("width, training", [(7, True), (64, False), (300, True)])
def test_equals_the_published_formulation(device, width, training):
    layer, x, direction = make(width, device=device)
    assert_same(layer.train(training), x, exact_knn(x, K), direction)


@pytest.mark.parametrize("k, offset", [(1, 0.0), (N, 10.0)])
def test_equals_it_with_one_or_all_neighbours_and_far_from_the_origin(device, k, offset):
    layer, x, direction = make(7, offset, device)
    assert_same(layer, x, exact_knn(x, k), direction)


def test_equals_it_where_a_scale_is_zero(device):
    layer, x, direction = make(7, device=device)
    with torch.no_grad():
        layer[1].weight[2] = 0
    assert_same(layer, x, exact_knn(x, K).flip(-1), direction)  # the first of the list is not the nearest


def test_duplicate_points_leave_the_parameters_gradients_as_they_are(device):
    layer, x, direction = make(7, device=device)
    x[:, 4:8] = x[:, :1]
    # which of several equal points receives the gradient is a free choice
    assert_same(layer, x, exact_knn(x, K), direction, skip=["grad_x"])


def test_float32_is_within_1e_4_far_from_the_origin(device):
    layer, x, direction = make(32, 10.0, device)
    x, index = x.float().double(), exact_knn(x, K)
    exact = run(published, layer, x, index, direction)
    single = run(fused, copy.deepcopy(layer).float(), x.float(), index, direction.float())
    assert [name for name in NAMES[:-1] if not error(single[name], exact[name]) < 1e-4] == []


def test_under_autocast_only_the_edges_of_wide_features_are_bfloat16(device):
    layer, x, direction = make(32, device=device, channels=24)
    index = exact_knn(x, K)
    exact = run(published, layer, x, index, direction)
    with torch.autocast(device.type, torch.bfloat16):  # the backward pass too, though torch advises against it
        ours = run(fused, copy.deepcopy(layer).float(), x.float(), index, direction.float())
    assert {ours[name].dtype for name in NAMES[:-1]} == {torch.float32}
    assert [name for name in ("mean", "var") if not error(ours[name], exact[name]) < 1e-5] == []
    assert [name for name in NAMES[:-1] if not error(ours[name], exact[name]) < 0.1] == []


def test_two_runs_give_the_same_bits(device):
    layer, x, direction = make(16, device=device)
    index = exact_knn(x, K)
    layer, x, direction = layer.float(), x.float(), direction.float()
    first, second = (run(fused, layer, x, index, direction) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in NAMES)


def test_inference_gives_the_same_output(device):
    layer, x, _ = make(7, device=device)
    index = exact_knn(x, K)
    with torch.inference_mode():
        assert_close(fused(layer.eval(), x, index), published(layer, x, index), **EXACT)


def test_checkpoints_give_the_same_gradients(device):
    layer, x, direction = make(7, device=device)
    index = exact_knn(x, K)
    plain = run(fused, layer, x, index, direction)
    for reentrant in (False, True):

        def again(layer, x, index, reentrant=reentrant):
            return torch.utils.checkpoint.checkpoint(fused, layer, x, index, use_reentrant=reentrant)

        ours = run(again, layer, x, index, direction)
        for name in NAMES[:5]:
            assert_close(ours[name], plain[name], **EXACT)


def test_one_sort_serves_a_backward_pass(device, monkeypatch):
    layer, x, direction = make(7, device=device)
    index, calls, sort = exact_knn(x, K), [], torch.sort
    monkeypatch.setattr(torch, "sort", lambda *args, **options: calls.append(1) or sort(*args, **options))
    with torch.no_grad():
        fused(layer, x, index)
    assert calls == []
    run(fused, layer, x, index, direction)
    assert calls == [1]


def random_edges(device, num_rows, k):
    return Edges(torch.randint(0, num_rows, (num_rows, k), device=device))


def test_the_first_of_equal_neighbours_receives_the_gradient(device):
    u = torch.tensor([[1.0], [2.0], [2.0], [0.0]], device=device, requires_grad=True)
    index = torch.tensor([[0, 2, 1], [3, 1, 2], [3, 3, 0], [0, 3, 0]], device=device)
    max_act(u, torch.zeros_like(u), Edges(index), torch.float32).sum().backward()
    assert u.grad.flatten().tolist() == [2, 1, 1, 0]


def test_more_neighbours_than_a_byte_can_number(device, monkeypatch):
    monkeypatch.setattr(tiles, "STEPS", 1)
    u, v = torch.randn(2, 6, 3, dtype=torch.float64, device=device).requires_grad_()
    edges = Edges(torch.arange(6, device=device).repeat_interleave(43).repeat(6, 1))  # (6, 258)
    ours, exact = max_act(u, v, edges, torch.float64), F.leaky_relu(u.amax(dim=0) + v, 0.2)
    assert_close(ours, exact, **EXACT)
    direction = torch.randn_like(v)
    gradients = [torch.autograd.grad((out * direction).sum(), (u, v)) for out in (ours, exact)]
    assert_close(*gradients, **EXACT)


def test_u_in_bfloat16_and_v_in_float32_of_any_layout(device):
    u, v = torch.randn(2, 16, B * N, device=device).mT
    u, v, edges = u.bfloat16().requires_grad_(), v.requires_grad_(), random_edges(device, B * N, K)
    out = max_act(u, v, edges, torch.float32)
    assert_close(out, F.leaky_relu(F.embedding(edges.index, u.float()).amax(dim=1) + v, 0.2))
    grad_u, grad_v = torch.autograd.grad(out.sum(), (u, v))
    assert (grad_u.dtype, grad_v.dtype) == (torch.bfloat16, torch.float32)
    assert_close(grad_u.double().sum(), grad_v.double().sum(), rtol=1e-2, atol=0.0)


def test_nan_is_not_hidden_by_the_maximum(device):
    u = torch.randn(9, 7, device=device)
    u[4, 3] = torch.nan
    edges = Edges(torch.tensor([4, 0, 1], device=device).repeat(9, 1))
    out = max_act(u, torch.zeros_like(u), edges, torch.float32)
    assert out.isnan().nonzero().tolist() == [[row, 3] for row in range(9)]


def test_no_rows_give_no_rows(device):
    u = torch.zeros(0, 7, device=device, requires_grad=True)
    out = max_act(u, u, Edges(torch.zeros(0, K, dtype=torch.int64, device=device)), torch.float32)
    out.sum().backward()
    assert out.shape == u.grad.shape == (0, 7)


def test_a_kernel_that_does_not_start_says_how_to_do_without():
    with pytest.raises(RuntimeError, match=r"OSError: no cc\); .*TRITON_KERNELS=0"), tiles.launch_on(torch.empty(1)):
        raise OSError("no cc")
