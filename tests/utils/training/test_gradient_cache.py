import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from models.encoders.dgcnn import DGCNN
from models.encoders.image_resnet import ImageResNet
from models.methods.crosspoint import CrossPoint
from tests.support.light_runs import light
from utils.training import gradient_cache
from utils.training.gradient_cache import cached_backward

B = 7


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(0)
    with light():
        return CrossPoint(DGCNN(4, emb_dims=16), ImageResNet(18)).double()


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(1)
    points = [torch.randn(B, 20, 3, dtype=torch.float64) for _ in range(2)]
    image = torch.randn(B, 3, 32, 32, dtype=torch.float64)
    return {"aug_a": points[0], "aug_b": points[1], "image": image, "index": torch.arange(B), "note": "text"}


def gradients(method):
    return {name: parameter.grad for name, parameter in method.named_parameters()}


def by_pieces(method, batch, size):
    """Return loss and gradients by autograd, which keeps the graphs of all micro-batches."""
    method = copy.deepcopy(method)
    parts = [method.embed(chunk) for chunk in gradient_cache._split(batch, size)]
    terms = method.loss({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    sum(terms.values()).backward()
    return terms, method


@pytest.mark.parametrize("size", [2, 3, 5, B, 100])
@pytest.mark.parametrize("is_training", [False, True])
def test_it_is_the_batch_in_one_piece_but_for_batch_norm_which_sees_the_micro_batch(method, batch, is_training, size):
    terms, kept = by_pieces(method.train(is_training), batch, size if is_training else B)
    cached = copy.deepcopy(method)
    assert_close(cached_backward(cached, batch, size), terms, rtol=1e-9, atol=1e-12)
    assert_close(gradients(cached), gradients(kept), rtol=1e-9, atol=1e-12)
    assert_close(dict(cached.named_buffers()), dict(kept.named_buffers()), rtol=1e-9, atol=1e-12)


def test_random_draws_are_the_same_in_both_passes(method, batch):
    noisy = copy.deepcopy(method).eval()
    noisy.point_head.append(nn.Dropout(0.5).train())
    torch.manual_seed(3)
    cached = copy.deepcopy(noisy)
    cached_backward(cached, batch, 3)
    torch.manual_seed(3)
    _, kept = by_pieces(noisy, batch, 3)
    assert_close(gradients(cached), gradients(kept), rtol=1e-9, atol=1e-12)


def test_a_refused_loss_adds_no_gradient(method, batch):
    def refuse(terms):
        raise ArithmeticError

    method = copy.deepcopy(method)
    with pytest.raises(ArithmeticError):
        cached_backward(method, batch, 3, check=refuse)
    assert all(grad is None for grad in gradients(method).values())


def test_only_one_micro_batch_keeps_its_activations_and_a_rest_of_one_sample_joins_its_neighbour(method, batch):
    sizes = []
    seen = copy.deepcopy(method).train()
    embed = seen.embed

    def watched(chunk):
        sizes.append((len(chunk["index"]), torch.is_grad_enabled()))
        return embed(chunk)

    seen.embed = watched
    cached_backward(seen, batch, 2)
    assert sizes == [(2, False), (2, False), (3, False), (2, True), (2, True), (3, True)]


def test_micro_batches_of_one_are_refused(method, batch):
    with pytest.raises(ValueError, match="--micro_batch must be at least 2"):
        cached_backward(method, batch, 1)


def test_a_frozen_branch_and_an_unused_embedding_need_no_gradient(method, batch):
    whole, cached = copy.deepcopy(method).eval(), copy.deepcopy(method).eval()
    for net in (whole, cached):
        for branch in (net.image_encoder, net.image_head):
            branch.requires_grad_(False)
        embed = net.embed
        net.embed = lambda chunk, embed=embed: embed(chunk) | {"unused": embed(chunk)["image"] * 2}
    terms = whole.loss({name: rows for name, rows in whole.embed(batch).items() if name != "unused"})
    sum(terms.values()).backward()
    loss = cached.loss
    cached.loss = lambda rows: loss({name: value for name, value in rows.items() if name != "unused"})
    cached_backward(cached, batch, 3)
    assert_close(gradients(cached), gradients(whole), rtol=1e-9, atol=1e-12)
