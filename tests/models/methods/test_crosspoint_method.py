"""The CrossPoint method: which terms it computes and which parameters they reach."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.testing import assert_close

from models.encoders.dgcnn import DGCNN
from models.losses.nt_xent import nt_xent
from models.methods.crosspoint import CrossPoint

BATCH = 4


class TinyImages(nn.Sequential):
    """Mean colours of an image's quarters, through a linear layer."""

    feature_dim = 8

    def __init__(self):
        super().__init__(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 8))


def build(**options):
    torch.manual_seed(0)
    encoder = DGCNN(k=4, emb_dims=32)
    return CrossPoint(encoder, TinyImages() if options.get("cmid_weight", 1.0) else None, **options)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, BATCH, 19, 3, generator=generator)
    return {"aug_a": points[0], "aug_b": points[1], "image": torch.randn(BATCH, 3, 32, 32, generator=generator)}


def reached(module):
    return {
        name.split(".")[0] for name, p in module.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }


def test_terms_are_those_of_the_paper(batch):
    method = build()
    terms = method(batch)
    features = method.point_encoder(torch.cat([batch["aug_a"], batch["aug_b"]]))
    za, zb = method.point_head(features).chunk(2)
    h = method.image_head(method.image_encoder(batch["image"]))
    assert_close(terms["loss/imid"], nt_xent(za, zb, 0.1))
    assert_close(terms["loss/cmid"], nt_xent((za + zb) / 2, h, 0.1))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"point_encoder", "point_head", "image_encoder", "image_head"}),
        ({"cmid_weight": 0.0}, {"point_encoder", "point_head"}),
        ({"imid_weight": 0.0}, {"point_encoder", "point_head", "image_encoder", "image_head"}),
    ],
)
def test_each_term_reaches_the_parameters_it_should(batch, options, expected):
    method = build(**options)
    terms = method(batch)
    sum(terms.values()).backward()
    assert len(terms) == 2 - len(options)
    assert reached(method) == expected


def slow_nt_xent(a, b, temperature):
    """The cross-entropy of arXiv:2002.05709, eq. 1, a pair of rows at a time."""
    rows = normalize(torch.cat([a, b]), dim=1)
    total = 0
    for i in range(len(rows)):
        others = [(rows[i] @ rows[j] / temperature).exp() for j in range(len(rows)) if j != i]
        partner = (rows[i] @ rows[(i + len(a)) % len(rows)] / temperature).exp()
        total = total - (partner / sum(others)).log()
    return total / len(rows)


def test_local_clouds_and_several_views_are_each_contrasted_with_the_mean_and_averaged(batch):
    method = build(local_clouds=3, local_weight=2.0, cmid_weight=0.5, temperature=0.2).double()
    generator = torch.Generator().manual_seed(1)
    batch |= {f"local_{number}": torch.randn(BATCH, 11, 3, generator=generator) for number in range(3)}
    batch["image"] = torch.randn(BATCH, 2, 3, 32, 32, generator=generator)
    batch = {name: rows.double() for name, rows in batch.items()}
    terms = method(batch)
    mean = method.embed_points(torch.cat([batch["aug_a"], batch["aug_b"]])).unflatten(0, (2, BATCH)).mean(0)
    local = method.embed_points(torch.cat([batch[f"local_{number}"] for number in range(3)])).chunk(3)
    views = method.embed_images(batch["image"].transpose(0, 1).flatten(0, 1)).chunk(2)
    assert_close(terms["loss/local"], 2 * sum(slow_nt_xent(mean, rows, 0.2) for rows in local) / 3)
    assert_close(terms["loss/cmid"], 0.5 * sum(slow_nt_xent(mean, rows, 0.2) for rows in views) / 2)
    terms["loss/local"].backward()
    assert reached(method) == {"point_encoder", "point_head"}


def test_local_clouds_leave_running_statistics_to_the_whole_ones(batch):
    plain, method = build(), build(local_clouds=1)
    method(batch | {"local_0": 9 * torch.rand(BATCH, 11, 3)})
    plain(batch)
    expected = dict(plain.named_buffers())
    for name, value in method.named_buffers():
        assert name.endswith("num_batches_tracked") or torch.equal(value, expected[name]), name
    assert {norm.momentum for norm in method.modules() if isinstance(norm, nn.BatchNorm1d)} == {0.1}


def test_without_the_cross_modal_term_no_image_is_needed(batch):
    del batch["image"]
    method = build(cmid_weight=0.0)
    assert set(method(batch)) == {"loss/imid"}
    assert set(method.weights()) == {"point"}


def test_states_of_earlier_versions_hold_an_image_branch_that_is_left_out():
    method, state = build(cmid_weight=0.0), build().state_dict()
    assert any(key.startswith("image_head.") for key in state)
    method.load_state_dict(state)
    with pytest.raises(RuntimeError, match="image_tail"):
        method.load_state_dict(state | {"image_tail.weight": torch.ones(1)})
    with pytest.raises(RuntimeError, match="Missing key"):
        build().load_state_dict(method.state_dict())


@pytest.mark.parametrize(("images", "cmid_weight"), [(None, 1.0), (TinyImages(), 0.0)])
def test_an_image_encoder_belongs_to_the_cross_modal_term(images, cmid_weight):
    with pytest.raises(ValueError, match="cmid_weight"):
        CrossPoint(DGCNN(k=4, emb_dims=32), images, cmid_weight=cmid_weight)


def test_weights_scale_their_terms(batch):
    plain, doubled = build()(batch), build(imid_weight=2.0, cmid_weight=3.0)(batch)
    assert_close(doubled["loss/imid"], 2 * plain["loss/imid"])
    assert_close(doubled["loss/cmid"], 3 * plain["loss/cmid"])


def test_the_mean_of_two_embeddings_is_not_rounded_to_autocasts_type():
    rounded = dict(zip(("aug_a", "aug_b", "image"), torch.randn(3, BATCH, 8).bfloat16()))
    exact = {name: value.float() for name, value in rounded.items()}
    assert build().loss(rounded) == build().loss(exact)


def test_no_term_at_all_is_an_error():
    with pytest.raises(ValueError, match="imid_weight"):
        build(imid_weight=0.0, cmid_weight=0.0)
