"""Alignment with texts: its terms, what learns, and the file of its towers."""

import pytest
import torch
from torch import nn

from models.encoders.image_resnet import ImageResNet
from models.encoders.registry import build_encoder
from models.losses.matching import matching_loss
from models.methods.text_alignment import MAX_LOG_SCALE, AlignedTowers, TextAlignment, load_towers
from models.weights.published import load_encoder
from tests.support.toy_texts import ToyTexts
from utils.training.gradient_cache import cached_backward

B, N = 4, 24


def build_towers(model="pointnet"):
    torch.manual_seed(0)
    texts = ToyTexts()
    encoder = build_encoder(model, 5, 16)
    return AlignedTowers(encoder, ImageResNet(18), texts.dim, text=texts.describe(), image_size=32)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return {
        "points": torch.randn(B, N, 3, generator=generator),
        "image": torch.randn(B, 3, 32, 32, generator=generator),
        "text": ToyTexts().encode(["a chair", "a mug", "a chair", "a car"]),
        "text_id": torch.tensor([0, 1, 0, 2]),
    }


def test_terms_are_the_weighted_contrasts_and_a_term_of_weight_0_is_left_out(batch):
    towers = build_towers().eval()
    options = {"text_weight": 2.0, "image_text_weight": 0.5, "trained_images": "all"}
    terms = TextAlignment(towers, masks_same_text=True, **options).eval()(batch)
    points, images = towers.embed_points(batch["points"]), towers.embed_images(batch["image"])
    torch.testing.assert_close(points.norm(dim=1), torch.ones(B))
    scale = torch.tensor(1 / 0.07)
    text, same = batch["text"], batch["text_id"]
    torch.testing.assert_close(terms["loss/text"], 2 * matching_loss(points, text, scale, same))
    torch.testing.assert_close(terms["loss/image"], matching_loss(points, images, scale))
    torch.testing.assert_close(terms["loss/image_text"], 0.5 * matching_loss(images, text, scale, same))
    published = TextAlignment(towers, image_weight=0.0)(batch | {"image": None})
    torch.testing.assert_close(published, {"loss/text": matching_loss(points, text, scale)})


@pytest.mark.parametrize("trained, learns", [("all", (True, True)), ("projection", (False, True))])
def test_only_what_is_trained_of_the_image_tower_moves(batch, trained, learns):
    method = TextAlignment(build_towers(), trained_images=trained, image_text_weight=1.0).train()
    sum(method(batch).values()).backward()
    towers = method.towers
    assert [
        part.grad is not None for part in (towers.image_encoder.resnet.conv1.weight, towers.image_projection.weight)
    ] == [*learns]
    norm = towers.image_encoder.resnet.bn1
    assert (norm.running_mean != 0).any() == learns[0]
    assert towers.point_projection.weight.grad.abs().max() > 0
    assert towers.logit_scale.grad != 0


def test_the_scale_stays_within_its_bounds():
    method = TextAlignment(build_towers(), trained_images="all")
    for value, kept in ((9.0, MAX_LOG_SCALE), (-1.0, 0.0), (2.0, 2.0)):
        nn.init.constant_(method.towers.logit_scale, value)
        method.after_update(1)
        assert method.towers.logit_scale.item() == pytest.approx(kept)


def test_micro_batches_give_the_gradient_of_the_whole_batch(batch):
    grads = []
    for size in (0, 2):
        method = TextAlignment(build_towers(), trained_images="all", image_text_weight=1.0, masks_same_text=True).eval()
        cached_backward(method, batch, size) if size else sum(method(batch).values()).backward()
        grads.append({name: parameter.grad for name, parameter in method.named_parameters()})
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_towers_are_read_back_and_their_encoder_as_that_of_any_method(batch, tmp_path):
    method = TextAlignment(build_towers("dgcnn"), trained_images="all").eval()
    for name, state in method.weights().items():
        torch.save(state, tmp_path / f"{name}.pth")
    loaded = load_towers(tmp_path / "towers.pth")
    assert (loaded.text, loaded.image_size, loaded.k) == (ToyTexts().describe(), 32, 5)
    classifier = torch.eye(16)[:, :3]
    for embed, key in (("embed_points", "points"), ("embed_images", "image")):
        found, own = (getattr(towers, embed)(batch[key]) for towers in (loaded, method.towers))
        torch.testing.assert_close(found, own, rtol=0, atol=0)
        torch.testing.assert_close(loaded.logits(found, classifier), found[:, :3] / 0.07)
    encoder = load_encoder(tmp_path / "point.pth").encoder.eval()
    torch.testing.assert_close(encoder(batch["points"]), method.point_encoder(batch["points"]))
    torch.save(method.state_dict(), tmp_path / "plain.pth")
    for name in ("point.pth", "plain.pth"):
        with pytest.raises(ValueError, match=f"{name} holds no aligned towers: expected models/towers_best.pth"):
            load_towers(tmp_path / name)
    state = method.weights()["towers"]
    del state["logit_scale"]
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match=r"(?s)cut\.pth does not hold the towers it names.*logit_scale"):
        load_towers(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"text_weight": 0.0, "image_weight": 0.0, "image_text_weight": 1.0}, "one of the first two > 0"),
        ({"text_weight": float("nan")}, "--text_weight nan"),
        ({"trained_images": "some"}, "trained_images must be one of"),
        ({"trained_images": "none"}, "random and would never learn"),
    ],
)
def test_settings_that_train_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TextAlignment(build_towers(), **options)
