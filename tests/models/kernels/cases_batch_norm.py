"""Pooled BatchNorm + LeakyReLU against torch's own, in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from models import affine, distributed
from models.kernels.pooled_norm import column_sums, pooled_batch_norm_act
from models.layers import pooled_conv, row_norm
from models.layers.pooled_conv import PooledConv
from models.layers.row_norm import row_statistics
from models.rows import CloudRows
from tests.support.random_norms import randomise_norms

B, N = 2, 37
EXACT = {"rtol": 1e-9, "atol": 1e-9}

pytestmark = pytest.mark.usefixtures("by_kernels")


def make(device, width, offset=0.0):
    norm = randomise_norms(nn.BatchNorm1d(width, momentum=1.0).double())
    y = torch.randn(B, N, width, dtype=torch.float64) + offset
    return norm.to(device), y.to(device), torch.randn(2, B, width, dtype=torch.float64, device=device)


def fused(norm, y):
    mean, var, count = norm.running_mean.double(), norm.running_var.double(), 0
    if norm.training:
        mean, var, count = row_statistics(y.detach().flatten(0, 1))
    return *pooled_batch_norm_act(y, norm.weight, norm.bias, mean, var, count, norm.eps, sync=False), mean, var


def published(norm, y):
    x = F.leaky_relu(norm(y.transpose(1, 2)), 0.2)
    count = B * N
    var = norm.running_var * (count - 1) / count if norm.training else norm.running_var
    return x.max(dim=-1).values, x.mean(dim=-1), norm.running_mean, var


def run(function, norm, y, direction):
    """Return maximum, mean, statistics, and the gradients of the input, the scale and the shift."""
    norm, y = copy.deepcopy(norm), y.detach().clone().requires_grad_()
    largest, average, mean, var = function(norm, y)
    (largest * direction[0] + average * direction[1]).sum().backward()
    return [t.detach() for t in (largest, average, mean, var, y.grad, norm.weight.grad, norm.bias.grad)]


def error(ours, exact):
    return ((ours.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("width, training, offset", [(7, True, 10.0), (7, False, 0.0), (100, True, 0.0)])
def test_equals_batch_norm_activation_and_pooling(device, width, training, offset):
    norm, y, direction = make(device, width, offset)
    norm.train(training)
    assert_close(run(fused, norm, y, direction), run(published, norm, y, direction), **EXACT)


def test_equals_it_where_a_scale_is_zero_and_points_are_equal(device):
    norm, y, direction = make(device, 7)
    with torch.no_grad():
        norm.weight[2] = 0
    y[:, 5], y[:, 8], y[:, 20] = 9, 9, -9  # the first of equal ones receives the gradient
    assert_close(run(fused, norm, y, direction), run(published, norm, y, direction), **EXACT)


def test_only_one_of_the_two_gradients_may_be_asked_for(device):
    norm, y, direction = make(device, 7)
    direction[1] = 0
    y.requires_grad_()
    largest, *_ = fused(norm, y)
    (gradient,) = torch.autograd.grad((largest * direction[0]).sum(), y)
    assert_close(gradient, run(published, norm, y.detach(), direction)[4], **EXACT)


def test_layouts_do_not_matter(device):
    norm, y, direction = make(device, 7)
    turned = y.transpose(1, 2).contiguous().transpose(1, 2), direction.mT.contiguous().mT
    assert_close(run(fused, norm, *turned), run(fused, norm, y, direction), **EXACT)


@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_lower_precisions_add_up_in_float32(device, dtype, bound):
    norm, y, direction = make(device, 32)
    y = y.to(dtype)
    exact = run(published, norm, y.double(), direction)
    ours = run(fused, copy.deepcopy(norm).float(), y, direction.float())
    single, double = [torch.float32] * 2, [torch.float64] * 2
    assert [tensor.dtype for tensor in ours] == [*single, *double, dtype, *single]
    assert error(ours.pop(4), exact.pop(4)) < bound  # the gradient of y is rounded to y's type
    assert [place for place in range(6) if not error(ours[place], exact[place]) < 1e-5] == []


def test_nan_is_not_hidden_by_the_maximum(device):
    norm, y, _ = make(device, 7)
    y[1, 4, 3] = torch.nan
    largest, average, *_ = fused(norm.eval(), y)
    assert largest.isnan().nonzero().tolist() == average.isnan().nonzero().tolist() == [[1, 3]]


def test_column_sums_equal_torch(device):
    x = torch.randn(100, 37, dtype=torch.float64, device=device)
    centred = x - x[3]
    assert_close(column_sums(x, x[3]), torch.stack([centred.sum(dim=0), centred.square().sum(dim=0)]), **EXACT)
    assert_close(column_sums(x.mT, x[:, 3])[0], (x.mT - x[:, 3]).sum(dim=0), **EXACT)


def layer_results(layer, x, lengths, direction):
    """Return outputs, gradients and running statistics of a PooledConv."""
    x = x.clone().requires_grad_()
    out = torch.cat(layer(x, CloudRows(lengths)), dim=1)
    (out * direction).sum().backward()
    return [out.detach(), x.grad, *layer.buffers()], [p.grad for p in layer.parameters()]


def test_statistics_of_all_processes(device, monkeypatch):
    """Simulate two ranks that hold the same rows: every sum over ranks is twice the own one."""
    layer = PooledConv(5, 7).double().to(device)
    torch.nn.init.normal_(layer[1].weight)
    x = torch.randn(2 * N, 5, dtype=torch.float64, device=device)
    direction = torch.randn(2, 14, dtype=torch.float64, device=device)
    both, both_gradients = layer_results(copy.deepcopy(layer), x.repeat(2, 1), [N] * 4, direction.repeat(2, 1))
    for module in (row_norm, pooled_conv):
        monkeypatch.setattr(module, "is_synchronised", lambda norm: True)
    for module in (affine, distributed):
        monkeypatch.setattr(module, "all_reduce_sum", lambda value: 2 * value)
    mine, gradients = layer_results(layer, x, [N] * 2, direction)
    assert_close(mine, [both[0][:2], both[1][: 2 * N], *both[2:]], **EXACT)
    assert_close([2 * gradient for gradient in gradients], both_gradients, **EXACT)


def test_clouds_of_different_sizes_are_not_taken_for_equal_ones(device):
    layer, x = PooledConv(5, 7).double().eval().to(device), torch.randn(8, 5, dtype=torch.float64, device=device)
    largest, _ = layer(x, CloudRows([2, 6]))
    alone, _ = layer(x[:2], CloudRows([2]))
    assert_close(largest[:1], alone, **EXACT)
