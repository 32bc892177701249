"""Classification as a method: the classifier's layers, and training with a frozen encoder."""

import copy

import pytest
import torch

from models.encoders.registry import ENCODERS, build_encoder
from models.encoders.tnet import transform_penalty
from models.layers.heads import classifier
from models.losses.smoothed_ce import smoothed_cross_entropy
from models.methods.classification import Classification, CloudClassifier


def batch(num_clouds=3, num_points=29):
    generator = torch.Generator().manual_seed(1)
    points = torch.rand((num_clouds, num_points, 3), generator=generator)
    return {"points": points, "label": torch.arange(num_clouds) % 5}


def step(method):
    """Take one step of SGD; return the method's tensors before it."""
    before = copy.deepcopy(method.state_dict())
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    method.train()
    sum(method(batch()).values()).backward()
    optimizer.step()
    return before


def test_the_classifier_has_the_published_layers():
    shapes = {key: tuple(value.shape) for key, value in classifier(2048, 40).named_parameters()}
    assert shapes == {
        "linear1.weight": (512, 2048),
        "bn6.weight": (512,),
        "bn6.bias": (512,),
        "linear2.weight": (256, 512),
        "linear2.bias": (256,),
        "bn7.weight": (256,),
        "bn7.bias": (256,),
        "linear3.weight": (40, 256),
        "linear3.bias": (40,),
    }


def test_the_classifier_computes_the_published_function():
    head = classifier(11, 5, dropout=0.3).double().eval()
    x = torch.randn(7, 11, dtype=torch.float64)
    hidden = torch.nn.functional.leaky_relu(head.bn6(x @ head.linear1.weight.T), 0.2)
    hidden = torch.nn.functional.leaky_relu(head.bn7(head.linear2(hidden)), 0.2)
    torch.testing.assert_close(head(x), head.linear3(hidden))
    assert (head.dp1.p, head.dp2.p) == (0.3, 0.3)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_parameter_of_every_encoder_is_trained(name):
    method = Classification(CloudClassifier(build_encoder(name, 4), 5))
    sum(method(batch()).values()).backward()
    assert [key for key, p in method.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ENCODERS)
def test_a_frozen_encoder_keeps_every_tensor_buffers_included(name):
    method = Classification(CloudClassifier(build_encoder(name, 4), 5, is_frozen=True))
    before = step(method)
    encoder = {key for key in before if key.startswith("network.point_encoder.")}
    changed = {key for key, value in method.state_dict().items() if not torch.equal(value, before[key])}
    assert not changed & encoder
    assert changed == before.keys() - encoder


def test_an_encoder_that_is_not_frozen_moves_with_its_buffers():
    method = Classification(CloudClassifier(build_encoder("pointnet"), 5))
    before = step(method)
    assert [key for key, value in method.state_dict().items() if torch.equal(value, before[key])] == []


def test_a_frozen_encoder_stays_in_eval_mode_and_the_classifier_does_not():
    network = CloudClassifier(build_encoder("pointnet"), 5, is_frozen=True).train()
    assert not any(module.training for module in network.point_encoder.modules())
    assert all(module.training for module in network.classifier.modules())
    assert not any(module.training for module in network.eval().modules())


def test_the_penalty_of_t_nets_is_summed_over_the_batch_of_all_processes(monkeypatch):
    encoder = build_encoder("pointnet_tnet")
    torch.nn.init.normal_(encoder.stn2.mlp2[-1].weight, std=0.001)
    method = Classification(CloudClassifier(encoder, 5), transform_weight=0.5)
    terms = method(batch())
    assert terms["loss/transform"] == 0.5 * transform_penalty(encoder).sum() > 0
    monkeypatch.setattr("models.encoders.tnet.get_world_size", lambda: 3)
    again = method(batch())
    torch.testing.assert_close(again["loss/transform"], 3 * terms["loss/transform"])
    assert Classification(CloudClassifier(encoder, 5))(batch()).keys() == {"loss/class"}
    frozen = Classification(CloudClassifier(encoder, 5, is_frozen=True), transform_weight=0.5).train()
    assert frozen(batch()).keys() == {"loss/class"}


def test_the_loss_is_smoothed_as_configured():
    network = CloudClassifier(build_encoder("pointnet"), 5).eval()
    logits = network(batch()["points"])
    for epsilon in (0.0, 0.2):
        expected = smoothed_cross_entropy(logits, batch()["label"], epsilon)
        torch.testing.assert_close(Classification(network, epsilon)(batch()), {"loss/class": expected})
