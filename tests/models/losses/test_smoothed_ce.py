"""Smoothed cross-entropy against published values and a slow loop."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.losses.smoothed_ce import smoothed_cross_entropy


def slow_loss(logits, label, epsilon):
    """The target of every class spelled out, in float64."""
    is_true = F.one_hot(label, logits.shape[-1]).bool()
    target = torch.where(is_true, 1 - epsilon, epsilon / (logits.shape[-1] - 1))
    return -(target * logits.double().log_softmax(dim=-1)).sum().item() / label.numel()


def random_case(*shape, num_classes=7):
    generator = torch.Generator().manual_seed(3)
    label = torch.randint(num_classes, shape, generator=generator)
    return torch.randn(*shape, num_classes, generator=generator), label


def test_equals_the_published_value(shared):
    golden = np.load(shared / "golden" / "partseg_metric.npz")
    loss = smoothed_cross_entropy(torch.tensor(golden["logits"]), torch.tensor(golden["gold"]))
    assert_close(loss.item(), float(golden["smoothed_ce"]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(11,), (3, 5)])
@pytest.mark.parametrize("epsilon", [0.0, 0.2, 0.5])
def test_equals_a_slow_loop(shape, epsilon):
    logits, label = random_case(*shape)
    assert_close(smoothed_cross_entropy(logits, label, epsilon).item(), slow_loss(logits, label, epsilon))


def test_gradient_vanishes_where_probabilities_equal_the_smoothed_target():
    target = torch.full((1, 5), 0.2 / 4).index_fill(1, torch.tensor([2]), 0.8)
    logits = target.log().requires_grad_()
    smoothed_cross_entropy(logits, torch.tensor([2])).backward()
    assert_close(logits.grad, torch.zeros(1, 5), rtol=0, atol=1e-6)


def test_an_epsilon_that_makes_the_true_class_the_least_likely_is_refused():
    logits, label = random_case(3)
    with pytest.raises(ValueError, match="epsilon must lie between 0 and 0.857"):
        smoothed_cross_entropy(logits, label, 0.9)


def test_channel_first_logits_are_refused():
    logits, label = random_case(3, 5)
    with pytest.raises(ValueError, match="expected logits"):
        smoothed_cross_entropy(logits.transpose(1, 2), label)
