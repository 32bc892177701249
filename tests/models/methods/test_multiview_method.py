"""Multi-view pre-training of points: its terms, by their definitions."""

from contextlib import ExitStack
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.encoders.multiview_resnet import MultiViewResNet
from models.encoders.registry import build_encoder
from models.encoders.tnet import TNet
from models.layers.heads import dense_head, object_head
from models.losses.pixel_point import pixel_point_losses
from models.methods.multiview import MultiView
from models.methods.multiview_images import MultiViewImages
from models.weights.published import load_encoder
from models.weights.teacher_file import load_teacher
from tests.models.losses.test_pixel_point import brute_force

B, N, P, V, C = 3, 40, 9, 2, 6


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    cells = [torch.randint(high, (B, P), generator=generator) for high in (V, 32, 32, N)]
    return {
        "points": torch.randn(B, N, 3, generator=generator),
        "pairs": torch.stack(cells, dim=-1),
        "maps": torch.randn(B, V, C, 3, 4, generator=generator).half(),
        "target": torch.randn(B, 8, generator=generator),
    }


def build(model="dgcnn", **options):
    torch.manual_seed(0)
    return MultiView(build_encoder(model, 5, 16), C, 8, **options)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_heads_have_the_published_numbers_of_parameters():
    assert count(dense_head(1024)) == 591_488
    assert count(object_head(1024)) == 590_976
    teacher = MultiViewResNet(50)
    assert count(teacher.head) == 590_976
    assert teacher.view_projection.weight.shape == (1024, 2048)
    assert teacher.maps(torch.zeros(1, 2, 3, 32, 32)).shape == (1, 2, 2048, 4, 4)


def test_pixels_are_those_of_maps_interpolated_whole(batch):
    method = build().double()
    maps = batch["maps"].double()
    convolved = F.conv2d(maps.flatten(0, 1), method.pixel_head.weight[..., None, None], method.pixel_head.bias)
    whole = F.interpolate(convolved, (32, 32), mode="bilinear", align_corners=True).unflatten(0, (B, V))
    view, row, column, _ = batch["pairs"].unbind(-1)
    expected = torch.stack([whole[i, view[i], :, row[i], column[i]] for i in range(B)])
    torch.testing.assert_close(method.embed_pixels(maps, batch["pairs"]), expected)
    single = method.embed_pixels(maps[..., :1, :1], batch["pairs"])  # a map of one cell is constant
    torch.testing.assert_close(single[0, 0], method.pixel_head(maps[0, view[0, 0], :, 0, 0]))


def test_terms_follow_their_definitions(batch):
    method = build("pointnet_tnet").train()
    for net in method.modules():
        if isinstance(net, TNet):
            nn.init.normal_(net.mlp2[-1].weight, std=0.1)
    terms = method(batch)
    rows, largest = method.point_encoder.dense(batch["points"])
    drawn = sorted({(i, point) for i in range(B) for point in batch["pairs"][i, :, 3].tolist()})
    features = dict(zip(drawn, method.point_head(torch.stack([rows[place] for place in drawn]))))
    points = torch.stack([torch.stack([features[i, p] for p in batch["pairs"][i, :, 3].tolist()]) for i in range(B)])
    pixels = method.embed_pixels(batch["maps"], batch["pairs"])
    torch.testing.assert_close(terms["loss/local"], brute_force(points, pixels, 0.5).mean())
    difference = method.object_head(largest) - batch["target"]
    torch.testing.assert_close(terms["loss/global"], difference.square().mean())
    nets = [module for module in method.modules() if isinstance(module, TNet)]
    with ExitStack() as stack:
        spies = [stack.enter_context(patch.object(net, "predict", wraps=net.predict)) for net in nets]
        transforms = [net.predict(*spy.call_args.args) for net, spy in run_once(method, batch, zip(nets, spies))]
    penalty = sum(((t @ t.mT - torch.eye(t.shape[1])) ** 2).sum() / 2 for t in transforms)
    assert penalty > 0
    torch.testing.assert_close(terms["loss/transform"], 0.001 * penalty)


def run_once(method, batch, spied):
    method.point_encoder(batch["points"])
    return list(spied)


def test_a_term_of_weight_0_is_left_out_and_trains_nothing(batch):
    for weight, name, head in (("global_weight", "local", "object_head"), ("local_weight", "global", "point_head")):
        method = build(**{weight: 0.0, "local_weight" if name == "local" else "global_weight": 2.0})
        terms = method(batch)
        assert terms.keys() == {f"loss/{name}"}
        torch.testing.assert_close(terms[f"loss/{name}"], 2 * build()(batch)[f"loss/{name}"])
        terms[f"loss/{name}"].backward()
        assert all(parameter.grad is None for parameter in getattr(method, head).parameters())
    with pytest.raises(ValueError, match="--global_weight 0.0 --local_weight 0.0"):
        build(global_weight=0.0, local_weight=0.0)


def test_same_points_are_no_negatives_on_request(batch):
    batch["pairs"][:, :, 3] %= 4
    found = build(masks_same_point=True)(batch)["loss/local"]
    method = build()
    rows, _ = method.point_encoder.dense(batch["points"])
    pixels = method.embed_pixels(batch["maps"], batch["pairs"])
    points = method.embed_points(rows, batch["pairs"])
    expected = pixel_point_losses(points, pixels, 0.5, batch["pairs"][..., 3]).mean()
    torch.testing.assert_close(found, expected)
    assert found < pixel_point_losses(points, pixels, 0.5).mean()


def test_weights_load_as_those_of_any_other_method(batch, tmp_path):
    method = build()
    torch.save(method.weights()["point"], tmp_path / "w.pth")
    loaded = load_encoder(tmp_path / "w.pth")
    assert (loaded.name, loaded.stored_k, loaded.head) == ("dgcnn", 5, None)
    torch.testing.assert_close(loaded.encoder.eval()(batch["points"]), method.point_encoder.eval()(batch["points"]))


def test_views_are_taken_by_their_maximum():
    method = MultiViewImages(MultiViewResNet(18, "standard").eval())
    images = torch.randn(2, 3, 3, 32, 32)
    embedded = method.encoder(images)
    torch.testing.assert_close(method.encoder(images[:, [2, 0, 1, 1]]), embedded)
    assert (method.encoder(images[:, :1]) - embedded).abs().max() > 1e-6
    terms = method({"views_a": images, "views_b": images.flip(0)})
    assert terms.keys() == {"loss/views"}
    assert terms["loss/views"] > 0


def test_a_teacher_is_read_back_and_nothing_else(tmp_path):
    teacher = MultiViewResNet(18, "small", embedding_dim=16)
    torch.save(MultiViewImages(teacher).weights()["teacher"], tmp_path / "t.pth")
    images = torch.randn(1, 2, 3, 16, 16)
    torch.testing.assert_close(load_teacher(tmp_path / "t.pth")(images), teacher.eval()(images), rtol=0, atol=0)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match="is no teacher: expected models/teacher_last.pth"):
        load_teacher(tmp_path / "other.pth")
    torch.save(build().weights()["point"], tmp_path / "point.pth")
    with pytest.raises(ValueError, match="found weights of dgcnn"):
        load_teacher(tmp_path / "point.pth")
