"""Pooled BatchNorm + LeakyReLU against torch's own, in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from models.kernels.pooled_batch_norm import pooled_batch_norm_act

B, N = 2, 37
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def make(device, width, offset=0.0):
    norm = nn.BatchNorm1d(width, momentum=1.0).double()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(width))
        norm.running_var.copy_(torch.rand(width) + 0.5)
    y = torch.randn(B, N, width, dtype=torch.float64) + offset
    return norm.to(device), y.to(device), torch.randn(2, B, width, dtype=torch.float64, device=device)


def fused(norm, y):
    stats = None if norm.training else (norm.running_mean, norm.running_var)
    return pooled_batch_norm_act(y, norm.weight, norm.bias, stats, norm.eps)


def published(norm, y):
    x = F.leaky_relu(norm(y.transpose(1, 2)), 0.2)
    count = B * N
    var = norm.running_var * (count - 1) / count if norm.training else norm.running_var
    return x.amax(dim=-1), x.mean(dim=-1), norm.running_mean, var


def run(function, norm, y, direction):
    """Maximum, mean, statistics, and the gradients of the input, the scale and the shift."""
    norm, y = copy.deepcopy(norm), y.clone().requires_grad_()
    largest, average, mean, var = function(norm, y)
    (largest * direction[0] + average * direction[1]).sum().backward()
    return [t.detach() for t in (largest, average, mean, var, y.grad, norm.weight.grad, norm.bias.grad)]


def error(ours, exact):
    return ((ours.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("offset", [0.0, 10.0])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("width", [7, 100])
def test_equals_batch_norm_activation_and_pooling(device, width, training, offset):
    norm, y, direction = make(device, width, offset)
    norm.train(training)
    for ours, theirs in zip(run(fused, norm, y, direction), run(published, norm, y, direction)):
        assert_close(ours, theirs, **EXACT)


def test_a_scale_of_zero_gives_the_same_output_and_gradients(device):
    norm, y, direction = make(device, 7)
    with torch.no_grad():
        norm.weight[2] = 0
    ours, theirs = run(fused, norm, y, direction), run(published, norm, y, direction)
    ours[5][2] = theirs[5][2]  # depends on which of the equal values is called the maximum
    for a, b in zip(ours, theirs):
        assert_close(a, b, **EXACT)


def test_only_one_of_the_two_gradients_may_be_asked_for(device):
    norm, y, direction = make(device, 7)
    direction[1] = 0
    y.requires_grad_()
    largest, *_ = fused(norm, y)
    (gradient,) = torch.autograd.grad((largest * direction[0]).sum(), y)
    assert_close(gradient, run(published, norm, y.detach(), direction)[4], **EXACT)


@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_lower_precisions_add_up_in_float32(device, dtype, bound):
    norm, y, direction = make(device, 32)
    y[:, 0], y[:, 1] = 8, -8  # bfloat16 has equal maxima otherwise, whose gradient torch spreads over all of them
    y = y.to(dtype)
    exact = run(published, norm, y.double(), direction)
    ours = run(fused, copy.deepcopy(norm).float(), y, direction.float())
    assert [tensor.dtype for tensor in ours] == [torch.float32] * 4 + [dtype] + [torch.float32] * 2
    assert error(ours.pop(4), exact.pop(4)) < bound  # the gradient of y is rounded to y's type
    assert [place for place in range(6) if not error(ours[place], exact[place]) < 1e-5] == []
