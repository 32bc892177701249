"""Encoders of groups of points: equal to the published formulation, counted by hand, random only in training."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from benchmarks.published.published_towers import (
    PublishedPointBERT,
    PublishedPointMLP,
    PublishedPointNet2,
    PublishedPointNeXt,
)
from models.encoders import pointbert
from models.encoders.pointbert import PointBERT, PointBERT512
from models.encoders.registry import build_encoder
from models.layers.grouping import interpolate
from models.methods.crosspoint import CrossPoint
from models.methods.multiview import MultiView
from models.weights.ulip_file import PointTower
from tests.support.random_norms import randomise_norms
from tests.support.small_towers import ANCHORS, GROUP, MEMBERS, NEIGHBOURS, NUM_GROUPS, STAGES, shrink

TOWERS = ("pointnet2", "pointmlp", "pointnext", "pointbert")
WIDTHS = {"pointmlp": 96, "pointbert": 12}  # smaller than published


@pytest.fixture
def pair(monkeypatch):
    """Return a function that builds an encoder of few centres in float64 and the published one of equal weights."""
    shrink(monkeypatch)
    published = {
        "pointnet2": lambda: PublishedPointNet2(STAGES),
        "pointmlp": lambda: PublishedPointMLP(ANCHORS, NEIGHBOURS, 96),
        "pointnext": lambda: PublishedPointNeXt(members=MEMBERS),
        "pointbert": lambda: PublishedPointBERT(NUM_GROUPS, GROUP, 12),
    }

    def build(name):
        torch.manual_seed(0)
        ours = randomise_norms(build_encoder(name, emb_dims=WIDTHS.get(name)).double())
        theirs = published[name]().double()
        theirs.load_state_dict(ours.state_dict())
        return ours, theirs

    return build


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", TOWERS)
def test_features_gradients_and_statistics_equal_those_of_the_published_formulation(name, training, pair):
    ours, theirs = (network.train(training) for network in pair(name))
    for block in ours.modules():
        if hasattr(block, "drop_path"):
            block.drop_path = 0.0
    base = 0.4 * torch.randn(3, 43, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    own_points, their_points = base.clone().requires_grad_(), base.clone().requires_grad_()
    torch.manual_seed(5)  # both draw where sampling starts
    feature = ours(own_points)
    torch.manual_seed(5)
    expected = theirs(their_points)
    assert_close(feature, expected, rtol=1e-9, atol=1e-9)
    direction = torch.randn_like(feature)
    (feature * direction).sum().backward()
    (expected * direction).sum().backward()
    assert_close(own_points.grad, their_points.grad, rtol=1e-7, atol=1e-8)
    gradients = ({key: value.grad for key, value in network.named_parameters()} for network in (ours, theirs))
    assert_close(*gradients, rtol=1e-7, atol=1e-7)
    assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()))


def conv(before, after, bias=True):
    return before * after + after * bias


def layer(before, after, bias=True):
    """Count a convolution and its BatchNorm."""
    return conv(before, after, bias) + 2 * after


def head(before, bias=True):
    """Count ULIP's two layers, of 512 and 256."""
    return layer(before, 512, bias) + layer(512, 256, bias)


def mlp_stage(before):
    """Count alpha and beta, the transfer layer, and four residual blocks of two layers."""
    return 2 * before + layer(2 * before, 2 * before, bias=False) * (1 + 4 * 2)


def next_stage(before):
    return layer(before + 3, before, False) + layer(before, 2 * before, False) + conv(before, 2 * before)


PARAMETERS = {
    # Encoder, then layers under the classes, and the count of the whole network for 40 classes as published.
    "pointnet2": (
        layer(3, 64) + layer(64, 64) + layer(64, 128)
        + layer(131, 128) + layer(128, 128) + layer(128, 256)
        + layer(259, 256) + layer(256, 512) + layer(512, 1024),
        head(1024), 1_475_688,
    ),
    "pointmlp": (
        layer(3, 64, False) + sum(map(mlp_stage, (64, 128, 256, 512))), head(1024), 13_238_504,
    ),
    "pointnext": (
        conv(4, 32) + sum(map(next_stage, (32, 64, 128, 256))) + layer(515, 512, False) + layer(512, 512, False),
        head(512, False), 1_373_544,
    ),
    "pointbert": (
        layer(3, 128) + conv(128, 256) + layer(512, 512) + conv(512, 256)  # of a group
        + conv(256, 384) + 2 * 384 + conv(3, 128) + conv(128, 384)  # token, class token and its position, positions
        + 12 * (conv(384, 3 * 384, False) + conv(384, 384) + conv(384, 1536) + conv(1536, 384) + 2 * 2 * 384)
        + 2 * 384,
        0, 22_065_960,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOWERS)
def test_parameters_are_as_many_as_published(name):
    encoder, layers, published = PARAMETERS[name]
    classes = conv(768, 256) + conv(256, 40) if name == "pointbert" else conv(256, 40)
    assert encoder + layers + classes == published
    with torch.device("meta"):
        tower = PointTower(name)
    assert sum(p.numel() for p in tower.encoder.parameters()) == encoder
    assert sum(p.numel() for p in tower.head.parameters()) == layers
    assert tower.projection.shape == ((768 if name == "pointbert" else 256), 512)


@pytest.mark.parametrize("name", TOWERS)
def test_clouds_of_any_size_have_features_from_one_point_on(name, pair):
    encoder = pair(name)[0].eval()
    for num_points in (1, 2, 25):
        points = torch.rand(2, num_points, 3, dtype=torch.float64)
        assert encoder(points).shape == (2, encoder.feature_dim)
        rows, largest = encoder.dense(points)
        assert (rows.shape, largest.shape) == ((2, num_points, encoder.emb_dims), (2, encoder.emb_dims))
    copies = torch.cat([points, points[:, :1].expand(-1, 9, -1)], dim=1)
    if name == "pointmlp":
        return  # its deviation is over all members of groups
    changed = (encoder(copies) - encoder(points)).abs().max()
    assert changed < 1e-9 or name != "pointnet2"  # copies fill balls, and nothing else


@pytest.mark.parametrize("name", TOWERS)
def test_features_of_points_lie_between_those_of_centres_whose_maximum_is_the_clouds(name, pair):
    encoder = pair(name)[0].eval()
    points = 0.4 * torch.randn(2, 43, 3, dtype=torch.float64)
    centres, rows, feature = encoder.local(points)
    dense, largest = encoder.dense(points)
    assert_close(dense, interpolate(rows, centres, points))
    assert torch.equal(largest, rows.amax(dim=1))
    assert torch.equal(largest, feature[:, -encoder.emb_dims :])
    is_centre = (points[:, :, None] == centres[:, None]).all(dim=-1).any(dim=-1)
    assert_close(dense[is_centre].unflatten(0, (2, -1)).amax(dim=1), largest, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TOWERS)
def test_training_is_random_by_torchs_generator_alone_and_evaluation_is_not(name, pair):
    encoder = pair(name)[0]
    for part in encoder.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = 0.0
    points = 0.4 * torch.randn(4, 43, 3, dtype=torch.float64)

    def features(seed):
        torch.manual_seed(seed)
        return encoder(points)

    encoder.train()
    assert torch.equal(features(1), features(1))
    assert torch.equal(features(1), features(2)) == (name == "pointnext")  # which is published to start at point 0
    encoder.eval()
    assert torch.equal(features(1), features(2))


def test_a_dropped_branch_is_left_out_of_whole_clouds_and_the_others_are_scaled_up():
    block = PointBERT(12).blocks.blocks[-1].train()
    assert [round(block.drop_path, 12) for block in PointBERT(12).blocks.blocks][:2] == [0.0, round(0.1 / 11, 12)]
    assert block.drop_path == pytest.approx(0.1)
    block.drop_path = 0.25
    x = block._dropped(torch.ones(4000, 2, 3))
    kept = x[:, 0, 0] > 0
    assert torch.equal(x, (kept.float() / 0.75)[:, None, None].expand_as(x))
    assert kept.float().mean() == pytest.approx(0.75, abs=0.03)


def test_groups_are_64_or_those_of_ulip_with_the_same_weights():
    assert (PointBERT.num_groups, PointBERT512.num_groups, pointbert.MEMBERS) == (64, 512, 32)
    small, large = (build_encoder(name, emb_dims=12).double().eval() for name in ("pointbert", "pointbert_512"))
    large.load_state_dict(small.state_dict())
    points = torch.rand(2, 103, 3, dtype=torch.float64)
    assert not torch.allclose(large(points), small(points))
    large.num_groups = 64
    assert_close(large(points), small(points))


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="--emb_dims 100: Point-BERT has 6 heads"):
        build_encoder("pointbert", emb_dims=100)


@pytest.mark.parametrize("name", TOWERS)
def test_contrast_of_clouds_and_of_points_reaches_every_weight(name, pair):
    pair(name)  # few centres
    points = 0.4 * torch.randn(4, 30, 3)
    pixels = {"pairs": torch.randint(3, (4, 7, 4)), "maps": torch.randn(4, 3, 5, 2, 2), "target": torch.randn(4, 8)}
    images = nn.Flatten()
    images.feature_dim = 8
    for build_method, batch in (
        (lambda encoder: CrossPoint(encoder, None, cmid_weight=0.0), {"aug_a": points, "aug_b": points.flip(2)}),
        (lambda encoder: MultiView(encoder, 5, 8), {"points": points, **pixels}),
    ):
        encoder = build_encoder(name, emb_dims=WIDTHS.get(name))
        torch.stack(list(build_method(encoder)(batch).values())).sum().backward()
        assert [key for key, value in encoder.named_parameters() if value.grad is None] == []


def test_a_copy_of_an_encoder_is_independent():
    encoder = build_encoder("pointnet2")
    twin = copy.deepcopy(encoder)
    assert type(twin) is type(encoder)
    assert twin.sa1.mlp_convs[0].weight is not encoder.sa1.mlp_convs[0].weight
