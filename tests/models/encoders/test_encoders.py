"""Encoders: parameter counts, invariances, equality with the published formulation."""

import copy
import sys
from urllib.error import URLError

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close

from models.encoders.dgcnn import AUTOCAST_SIZES, DGCNN
from models.encoders.dgcnn_seg import DGCNNPartSeg, DGCNNSegEncoder
from models.encoders.image_resnet import ImageResNet
from models.encoders.pointnet import PointNet
from models.encoders.registry import ENCODERS, build_encoder
from models.layers.heads import image_head, point_head
from models.layers.neighbours import knn_rows
from models.rows import merge_copies
from tests.models.layers.published_formulation import dgcnn, dgcnn_seg
from tests.support.light_runs import same
from tests.support.random_norms import randomise_norms
from tests.support.small_towers import shrink


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (DGCNN, 617_856),
        (lambda: point_head(2048), 2_362_624),
        (lambda: DGCNNSegEncoder().transform_net, 801_289),
        (lambda: point_head(1024), 1_314_048),
        (DGCNNPartSeg, 1_460_361),
        (lambda: image_head(2048), 1_180_672),
    ],
)
def test_parameter_count_is_the_published_one(build, expected):
    assert sum(p.numel() for p in build().parameters()) == expected


def test_pointnet_has_the_five_published_layers():
    widths = [tuple(layer[0].weight.shape) for layer in PointNet().children()]
    assert widths == [(64, 3, 1), (64, 64, 1), (64, 64, 1), (128, 64, 1), (1024, 128, 1)]


@pytest.mark.parametrize("name", list(ENCODERS))
def test_order_of_points_does_not_matter(name, monkeypatch):
    shrink(monkeypatch)
    torch.manual_seed(0)
    encoder = build_encoder(name, k=5).double().eval()
    points = torch.randn(2, 37, 3, dtype=torch.float64)
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(36)])  # some sample from point 0 on
    assert_close(encoder(points), encoder(points[:, order]))


@pytest.mark.parametrize("name", list(ENCODERS))
def test_feature_width_is_as_declared_even_for_one_cloud(name):
    encoder = build_encoder(name, k=5).eval()
    assert encoder(torch.randn(1, 23, 3)).shape == (1, encoder.feature_dim)


def test_unknown_encoder_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="pointnet"):
        build_encoder("pointnext_xl")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", list(ENCODERS))
def test_weights_in_half_precision_run_or_say_what_to_do_instead_which_works(name, dtype, monkeypatch):
    shrink(monkeypatch)
    torch.manual_seed(0)
    encoder, points = build_encoder(name, k=5).eval(), torch.rand(2, 37, 3) - 0.5
    feature = encoder(points)
    with torch.autocast("cpu", dtype=dtype):
        under_autocast = encoder(points)
    half = encoder.to(dtype)
    if name in ("pointnet", "pointnet_tnet"):
        assert_close(half(points.to(dtype)), under_autocast)
    else:
        advice = rf'weights in {dtype}: .*call the network under torch.autocast\("cpu", dtype={dtype}\)'
        with pytest.raises(ValueError, match=advice):
            half(points)
    assert (under_autocast - feature).norm() < 0.03 * feature.norm()


def norms(module):
    return [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]


PUBLISHED = {DGCNN: dgcnn, DGCNNSegEncoder: dgcnn_seg}


def random_pair(kind, k=5):
    """Build two equal small encoders in float64 with BatchNorm scales of both signs and 0."""
    torch.manual_seed(0)
    encoder = randomise_norms(kind(k, 31).double())
    for norm in norms(encoder):
        norm.weight.data[3] = 0
    if kind is DGCNNSegEncoder:
        torch.nn.init.normal_(encoder.transform_net.transform.weight, std=0.01)
    return encoder, copy.deepcopy(encoder)


def assert_same_step(encoder, twin, base, place):
    """Compare forward and backward on base[:, place] of our encoder and the published formulation."""
    ours_base, published_base = base.clone().requires_grad_(), base.clone().requires_grad_()
    direction = torch.randn(len(base), encoder.feature_dim, dtype=base.dtype)
    ours = encoder(ours_base[:, place])
    published = PUBLISHED[type(twin)](published_base[:, place], twin)
    (ours * direction).sum().backward()
    (published * direction).sum().backward()
    for what, a, b in [
        ("features", ours, published),
        ("input gradient", ours_base.grad, published_base.grad),
        *((name, a.grad, b.grad) for (name, a), b in zip(encoder.named_parameters(), twin.parameters(), strict=True)),
        *((name, a, b) for (name, a), b in zip(encoder.named_buffers(), twin.buffers(), strict=True)),
    ]:
        difference = (a - b).double().norm()
        assert difference <= 1e-9 * b.double().norm().clamp_min(1), what


@pytest.mark.parametrize("kind", list(PUBLISHED))
@pytest.mark.parametrize("training, num_points, k, offset", [(True, 41, 5, 10), (False, 41, 5, 10), (True, 12, 12, 0)])
def test_dgcnn_equals_the_published_network_far_from_the_origin_and_when_every_point_is_a_neighbour(
    kind, training, num_points, k, offset
):
    base = torch.randn(3, num_points, 3, dtype=torch.float64) + offset
    encoder, twin = random_pair(kind, k)
    assert_same_step(encoder.train(training), twin.train(training), base, torch.arange(num_points))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_copies", [3, 29])  # fewer than k, and most of the cloud
def test_dgcnn_equals_it_on_copies_of_point_0(num_copies, training):
    base = torch.randn(3, 41, 3, dtype=torch.float64)
    place = torch.arange(41)
    place[torch.randperm(40)[:num_copies] + 1] = 0
    encoder, twin = random_pair(DGCNN)
    assert_same_step(encoder.train(training), twin.train(training), base, place)


@pytest.mark.parametrize("max_sizes", [2, 5])  # 26 and 14 of the 87 copies keep their rows
def test_dgcnn_equals_it_on_batches_of_few_sizes(monkeypatch, max_sizes):
    monkeypatch.setattr("models.encoders.dgcnn.merge_copies", lambda points, _: merge_copies(points, max_sizes))
    place = torch.arange(41)
    place[torch.randperm(40)[:29] + 1] = 0
    assert_same_step(*random_pair(DGCNN), torch.randn(3, 41, 3, dtype=torch.float64), place)


def test_only_autocast_meets_batches_of_few_sizes(monkeypatch):
    sizes = []
    monkeypatch.setattr("models.encoders.dgcnn.knn_rows", lambda x, *rest: sizes.append(len(x)) or knn_rows(x, *rest))
    encoder, points = DGCNN(k=4, emb_dims=16), torch.randn(4, AUTOCAST_SIZES, 3)
    points[0, 1:50] = points[0, 0].clone()
    for is_enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_enabled):
            encoder(points)
    assert sizes == 4 * [4 * AUTOCAST_SIZES - 49] + 4 * [4 * AUTOCAST_SIZES - 48]


def test_dgcnn_equals_it_when_clouds_have_unlike_numbers_of_copies():
    encoder, twin = random_pair(DGCNN)
    points = torch.randn(3, 41, 3, dtype=torch.float64)
    points[0, 20:] = points[0, :1]
    points[2, 1:38] = points[2, :1]
    for training in (False, True):
        assert_close(encoder.train(training)(points), dgcnn(points, twin.train(training)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", list(PUBLISHED))
def test_frozen_batch_norm_uses_and_keeps_its_statistics(kind):
    encoder, twin = random_pair(kind)
    for norm in norms(encoder.train()) + norms(twin.train()):
        norm.eval()
    assert_same_step(encoder, twin, torch.randn(3, 41, 3, dtype=torch.float64), torch.arange(41))


def test_weights_that_are_nan_give_nan_and_no_other_error():
    encoder = DGCNN(k=5).train()
    with torch.no_grad():
        encoder.conv4[0].weight[0, 0] = torch.nan
    feature = encoder(torch.randn(2, 31, 3))
    feature.sum().backward()
    assert feature.isnan().any()


@pytest.mark.parametrize("kind", list(PUBLISHED))
def test_float32_on_the_same_graph_is_as_near_as_float32_can_be(kind, monkeypatch):
    graphs = []

    def recorded(x, clouds, k):
        graphs.append(knn_rows(x, clouds, k))
        return graphs[-1]

    module = sys.modules[kind.__module__]
    encoder, twin = random_pair(kind)
    points = torch.randn(3, 41, 3, dtype=torch.float64)
    monkeypatch.setattr(module, "knn_rows", recorded)
    exact = encoder(points)
    monkeypatch.setattr(module, "knn_rows", lambda x, clouds, k: graphs.pop(0))
    ours = twin.float()(points.float())
    assert ((ours.double() - exact).norm() / exact.norm()).item() < 1e-4


def test_autocast_does_not_round_the_aligned_points_before_their_neighbours_are_searched(monkeypatch):
    searched = []

    def recorded(x, clouds, k):
        searched.append(x)
        return knn_rows(x, clouds, k)

    monkeypatch.setattr(sys.modules[DGCNNSegEncoder.__module__], "knn_rows", recorded)
    points = torch.randn(2, 31, 3)
    with torch.autocast("cpu", torch.bfloat16):
        DGCNNSegEncoder(5)(points)
    assert torch.equal(searched[1], points.flatten(0, 1))  # the alignment starts as the identity


@pytest.mark.parametrize(("depth", "width"), [(18, 512), (50, 2048)])
def test_image_encoder_gives_one_feature_an_image(depth, width):
    with torch.device("meta"):  # shapes alone
        encoder, images = ImageResNet(depth).eval(), torch.randn(1, 3, 64, 64)
    assert encoder.feature_dim == width
    assert encoder(images).shape == (1, width)


def test_image_weights_of_another_depth_are_refused(tmp_path):
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in ImageResNet(18).resnet.state_dict().items()}
    torch.save({key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth does not hold torchvision weights"):
        ImageResNet(34, str(tmp_path / "w.pth"))


def test_images_start_from_the_image_branch_of_a_run_without_its_head(tmp_path):
    torch.manual_seed(1)
    stored = ImageResNet(18).state_dict()
    torch.save(stored | {"inv_head.0.weight": torch.ones(2, 2)}, tmp_path / "img_model_last.pth")
    started = ImageResNet(18, str(tmp_path / "img_model_last.pth")).state_dict()
    assert same(started, stored)
    old = {f"fc.{name}": torch.ones(size) for name, size in (("weight", (1000, 512)), ("bias", 1000))}
    old |= {key.removeprefix("resnet."): value for key, value in stored.items() if "num_batches" not in key}
    torch.save(old, tmp_path / "resnet18-of-2018.pth")
    assert same(ImageResNet(18, str(tmp_path / "resnet18-of-2018.pth")).state_dict(), stored)
    torch.save({key: value for key, value in stored.items() if "layer4" not in key}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"part\.pth does not hold torchvision weights"):
        ImageResNet(18, str(tmp_path / "part.pth"))


def test_a_failed_download_names_the_place_of_the_file(monkeypatch):
    def fail(*args, **options):
        raise URLError("no route")

    monkeypatch.setattr("torchvision.models.get_model", fail)
    with pytest.raises(OSError, match="no ImageNet weights of ResNet-18 .*no route.*; put its file into .*checkpoints"):
        ImageResNet(18, "imagenet")
