"""The fused edge convolution against the published formulation in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.edge_conv import EdgeConv
from models.geometry import flat_index
from models.kernels import edge_conv as kernels
from models.kernels.max_act import max_act
from tests.models.published_formulation import edge_conv, exact_knn

B, N, C, K = 2, 11, 5, 4
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def make(device, width, offset=0.0):
    """Layer with scales of both signs, input, and a direction in which to take gradients."""
    layer = EdgeConv(C, width).double()
    with torch.no_grad():
        for tensor in (layer[1].weight, layer[1].bias, layer[1].running_mean):
            tensor.copy_(torch.randn(width))
        layer[1].running_var.copy_(torch.rand(width) + 0.5)
    x = torch.randn(B, N, C, dtype=torch.float64) + offset
    return layer.to(device), x.to(device), torch.randn(B, N, width, dtype=torch.float64, device=device)


def fused(layer, x, index, dtype=None):
    """The layer by the kernels; u and v in `dtype`. Shape: (B, N, C), (B, N, K) -> (B, N, D)."""
    norm, rows = layer[1], x.flatten(0, 1)
    weight_a, weight_b = layer[0].weight.flatten(1).chunk(2, dim=1)
    sign = torch.where(norm.weight < 0, -1.0, 1.0).to(x.dtype)
    shift = rows.detach().mean(dim=0) if layer.training else torch.zeros_like(rows[0])
    uv = F.linear(rows - shift, torch.cat([weight_a * sign[:, None], (weight_b - weight_a) * sign[:, None]]))
    out, mean, var = kernels.max_batch_norm_act(
        uv.to(dtype or uv.dtype),
        norm.weight * sign,
        norm.bias,
        flat_index(index),
        None,
        None if layer.training else (norm.running_mean * sign, norm.running_var),
        norm.eps,
        x.dtype,
    )
    return out.unflatten(0, x.shape[:2]), mean * sign + weight_b @ shift, var


def published(layer, x, index):
    out = edge_conv(x, index, layer)
    norm, count = layer[1], index.numel()
    if not layer.training:
        return out, norm.running_mean, norm.running_var
    return out, norm.running_mean, norm.running_var * (count - 1) / count


def run(function, layer, x, index, direction):
    """Output, statistics, and the gradients of the input, the weight, the scale and the shift."""
    layer, x = copy.deepcopy(layer), x.clone().requires_grad_()
    layer[1].momentum = 1.0
    out, mean, var = function(layer, x, index)
    (out * direction).sum().backward()
    gradients = [x.grad, layer[0].weight.grad, layer[1].weight.grad, layer[1].bias.grad]
    return [tensor.detach() for tensor in (out, mean, var, *gradients)]


def error(ours, exact):
    return ((ours.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize(
    "width, training", [(7, True), (7, False), (64, True), (64, False), (128, True), (256, False), (300, True)]
)
def test_equals_the_published_formulation(device, width, training):
    layer, x, direction = make(device, width)
    index = exact_knn(x, K)
    layer.train(training)
    for ours, theirs in zip(run(fused, layer, x, index, direction), run(published, layer, x, index, direction)):
        assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("k", [1, N])
def test_equals_it_with_few_and_with_all_neighbours(device, k):
    layer, x, direction = make(device, 7)
    index = exact_knn(x, k)
    for ours, theirs in zip(run(fused, layer, x, index, direction), run(published, layer, x, index, direction)):
        assert_close(ours, theirs, **EXACT)


def test_equals_it_far_from_the_origin(device):
    layer, x, direction = make(device, 7, offset=10.0)
    index = exact_knn(x, K)
    for ours, theirs in zip(run(fused, layer, x, index, direction), run(published, layer, x, index, direction)):
        assert_close(ours, theirs, **EXACT)


def test_duplicate_points_leave_the_parameters_gradients_as_they_are(device):
    layer, x, direction = make(device, 7)
    x[:, 4:8] = x[:, :1]
    index = exact_knn(x, K)
    ours, theirs = run(fused, layer, x, index, direction), run(published, layer, x, index, direction)
    for place in (0, 1, 2, 4, 5, 6):  # which of several equal points receives the gradient is a free choice
        assert_close(ours[place], theirs[place], **EXACT)


def test_a_scale_of_zero_gives_the_same_output_and_gradients(device):
    layer, x, direction = make(device, 7)
    with torch.no_grad():
        layer[1].weight[2] = 0
    index = exact_knn(x, K)
    ours, theirs = run(fused, layer, x, index, direction), run(published, layer, x, index, direction)
    for place in (0, 1, 2, 3, 4, 6):  # the gradient of that scale itself depends on the tie
        assert_close(ours[place], theirs[place], **EXACT)


@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_float32_is_within_1e_4(device, offset):
    layer, x, direction = make(device, 32, offset)
    index = exact_knn(x, K)
    exact = run(published, layer, x, index, direction)
    single = run(fused, copy.deepcopy(layer).float(), x.float(), index, direction.float())
    assert [name for name, ours, theirs in zip(range(7), single, exact) if not error(ours, theirs) < 1e-4] == []


def test_bfloat16_u_and_v_are_added_up_in_float32(device):
    width = 32
    uv = torch.randn(B * N, 2 * width, device=device).bfloat16()
    uv[:, width:] -= uv[:, :width]  # as in a layer, u and v of close points nearly cancel
    index = torch.randint(0, B * N, (B * N, K), device=device)
    direction = torch.randn(B * N, width, device=device)

    def call(dtype):
        leaf = uv.to(dtype).requires_grad_()
        real = torch.promote_types(dtype, torch.float32)
        scale = torch.rand(width, generator=torch.Generator().manual_seed(1)).to(device, real).requires_grad_()
        out, mean, var = kernels.max_batch_norm_act(leaf, scale, scale, index, None, None, 1e-5, real)
        return out, mean, var, *torch.autograd.grad((out * direction).sum(), (scale, leaf))

    half, exact = call(torch.bfloat16), call(torch.float64)
    assert [tensor.dtype for tensor in half] == [torch.float32] * 4 + [torch.bfloat16]
    assert [place for place in range(4) if not error(half[place], exact[place]) < 1e-5] == []
    assert error(half[4], exact[4]) < 1e-2  # rounded to the type of uv


def test_a_row_that_stands_for_several_points_equals_them(device):
    """Rows repeated `weight` times, all with the neighbours of the first copy, against one row each."""
    num_rows, width = 9, 7
    weight = torch.randint(1, 4, (num_rows,), device=device)
    uv = torch.randn(num_rows, 2 * width, dtype=torch.float64, device=device, requires_grad=True)
    scale = torch.rand(width, dtype=torch.float64, device=device, requires_grad=True)
    shift = torch.randn(width, dtype=torch.float64, device=device)
    index = torch.randint(0, num_rows, (num_rows, K), device=device)
    row = torch.arange(num_rows, device=device).repeat_interleave(weight)
    first_copy = torch.cumsum(weight, dim=0) - weight
    direction = torch.randn(len(row), width, dtype=torch.float64, device=device)
    summed = torch.zeros(num_rows, width, dtype=torch.float64, device=device).index_add_(0, row, direction)

    def call(uv, index, weight, direction):
        out, mean, var = kernels.max_batch_norm_act(uv, scale, shift, index, weight, None, 1e-5, torch.float64)
        return out, mean, var, *torch.autograd.grad((out * direction).sum(), (leaf, scale))

    leaf = uv
    one = call(uv, index, weight.double(), summed)
    copies = call(uv[row], first_copy[index[row]], None, direction)
    assert_close(one[0][row], copies[0], **EXACT)
    for ours, theirs in zip(one[1:], copies[1:]):
        assert_close(ours, theirs, **EXACT)


def test_two_runs_give_the_same_bits(device):
    layer, x, direction = make(device, 16)
    index = exact_knn(x, K)
    layer, x, direction = layer.float(), x.float(), direction.float()
    for first, second in zip(*(run(fused, layer, x, index, direction) for _ in range(2))):
        assert torch.equal(first, second)


def test_nan_is_not_hidden_by_the_maximum(device):
    uv = torch.randn(9, 14, device=device)
    uv[4, 3] = torch.nan
    index = torch.arange(9, device=device)[:, None].repeat(1, 3)
    stats = torch.zeros(7, device=device), torch.ones(7, device=device)
    ones = torch.ones(7, device=device)
    out, _, _ = kernels.max_batch_norm_act(uv, ones, ones, index, None, stats, 1e-5, torch.float32)
    assert out.isnan().nonzero().tolist() == [[4, 3]]


def test_inference_gives_the_same_output(device):
    layer, x, _ = make(device, 7)
    index = exact_knn(x, K)
    layer.eval()
    with torch.inference_mode():
        out, _, _ = fused(layer, x, index)
    assert_close(out, published(layer, x, index)[0], **EXACT)


@pytest.mark.parametrize("width", [7, 64])
def test_the_activated_maximum_equals_torch(device, width):
    u, v = torch.randn(2, B * N, width, dtype=torch.float64, device=device).requires_grad_()
    index = torch.stack([torch.randperm(B * N)[:K] for _ in range(B * N)]).to(device)
    direction = torch.randn(B * N, width, dtype=torch.float64, device=device)
    ours, exact = max_act(u, v, index, torch.float64), F.leaky_relu(F.embedding(index, u).amax(dim=1) + v, 0.2)
    assert_close(ours, exact, **EXACT)
    gradients = [torch.autograd.grad((out * direction).sum(), (u, v)) for out in (ours, exact)]
    assert_close(*gradients, **EXACT)


def test_the_activated_maximum_takes_u_in_bfloat16_and_v_in_float32(device):
    u, v = torch.randn(2, B * N, 16, device=device)
    u, v = u.bfloat16().requires_grad_(), v.requires_grad_()
    index = torch.stack([torch.randperm(B * N)[:K] for _ in range(B * N)]).to(device)
    out = max_act(u, v, index, torch.float32)
    assert_close(out, F.leaky_relu(F.embedding(index, u.float()).amax(dim=1) + v, 0.2))
    grad_u, grad_v = torch.autograd.grad(out.sum(), (u, v))
    assert (grad_u.dtype, grad_v.dtype) == (torch.bfloat16, torch.float32)
    assert_close(grad_u.double().sum(), grad_v.double().sum(), rtol=1e-2, atol=0.0)
