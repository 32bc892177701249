"""Towers that see a part of their tokens: what is hidden, and that nothing hidden changes nothing."""

import numpy as np
import pytest
import torch

from datasets.transforms.weak_strong import hide_patches
from models.encoders.image_resnet import ImageResNet
from models.encoders.pointbert import PointBERT
from models.methods.cross_modal_self_training import CrossModalSelfTraining
from models.methods.masked_towers import MaskedGroups, MaskedImages, mask_grid, mask_groups
from models.methods.text_alignment import AlignedTowers
from models.text.clip_model import ClipImages
from tests.support.toy_texts import TINY_CLIP

B, N, D = 3, 96, 12


@pytest.fixture
def clip():
    pytest.importorskip("open_clip")
    torch.manual_seed(0)
    return ClipImages(TINY_CLIP).eval()


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return PointBERT(emb_dims=12).eval()


def test_the_nearest_19_to_25_of_64_groups_are_hidden():
    centres = torch.randn(B, 64, 3, generator=torch.Generator().manual_seed(0))
    draws = torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.999999, 0.999999]])
    mask = mask_groups(centres, draws)
    assert mask.sum(dim=1).tolist() == [19, 22, 25]
    for cloud, own, first in zip(centres, mask, (0, 32, 63)):
        distance = (cloud - cloud[first]).norm(dim=1)
        assert own[first]
        assert distance[own].max() < distance[~own].min()


def test_a_resnet_has_no_patches_and_clip_has(clip):
    assert mask_grid(ImageResNet(18)) is None
    assert mask_grid(clip) == 4


def test_nothing_hidden_gives_the_features_of_the_tower(clip, encoder):
    images, projection = torch.randn(B, 3, 32, 32), torch.nn.Linear(32, D, bias=False)
    seen = MaskedImages(clip)(clip, projection, images, torch.zeros(B, 4, 4, dtype=torch.bool))
    torch.testing.assert_close(seen.feature, clip(images))
    points = torch.randn(B, 2, 3)  # two groups: none is hidden
    torch.testing.assert_close(MaskedGroups(encoder, D)(encoder, points, torch.zeros(B, 2)).feature, encoder(points))


def test_hidden_patches_are_not_seen_but_told_and_the_published_error_is_of_another_size(clip):
    images, projection = torch.randn(B, 3, 32, 32), torch.nn.Linear(32, D, bias=False)
    mask = torch.from_numpy(hide_patches(4, np.random.default_rng(0))).expand(B, 4, 4)
    hidden = mask.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
    ours, published = MaskedImages(clip), MaskedImages(clip, is_published=True)
    published.load_state_dict(ours.state_dict())
    seen = ours(clip, projection, images, mask)
    other = ours(clip, projection, torch.where(hidden, 9.0, images), mask)
    torch.testing.assert_close(seen.feature, other.feature)
    torch.testing.assert_close(seen.local, other.local)
    assert other.masked > 2 * seen.masked > 0
    torch.testing.assert_close(published(clip, projection, images, mask).masked * 17, seen.masked * 3)


def test_groups_are_told_and_the_published_target_is_the_mask_token(encoder):
    points, draws = torch.randn(B, N, 3), torch.rand(B, 2)
    masked = MaskedGroups(encoder, D)
    literal = MaskedGroups(encoder, D, is_published=True)
    literal.load_state_dict(masked.state_dict())
    centres, tokens = encoder.tokens(points)
    mask = mask_groups(centres, draws)
    x = encoder.transform(torch.where(mask[..., None], masked.mask_token, tokens), centres)[:, 1:]
    told = masked.head(x)
    expected = torch.stack([(told[i] - tokens[i])[mask[i]].abs().mean() for i in range(B)]).mean()
    torch.testing.assert_close(masked(encoder, points, draws).masked, expected)
    expected = (told - masked.mask_token)[mask].abs().sum() / mask.sum() / B
    torch.testing.assert_close(literal(encoder, points, draws).masked, expected)


def test_a_student_with_tokens_has_all_terms_and_its_groups_stay(clip, encoder):
    towers = AlignedTowers(encoder, clip, D, text={}, image_size=32)
    towers.set_classes(["a", "b"], torch.eye(D)[:, :2])
    method = CrossModalSelfTraining(towers).train()
    assert method.notes == []
    images, points, mask = torch.randn(B, 3, 32, 32), torch.randn(B, N, 3), torch.zeros(B, 4, 4, dtype=torch.bool)
    mask[:, :2, :2] = True
    batch = {f"image_{kind}": images for kind in ("weak", "strong")} | {"image_mask": mask, "index": torch.arange(B)}
    batch |= {f"points_{kind}": points for kind in ("weak", "strong")} | {"points_draws": torch.rand(B, 2)}
    before = {name: value.clone() for name, value in encoder.encoder.state_dict().items()}
    terms = method(batch)
    kinds = ("label", "fair", "masked", "local")
    assert set(terms) == {f"loss/{kind}_{branch}" for kind in kinds for branch in ("image", "points")} | {
        "loss/alignment"
    }
    sum(terms.values()).backward()
    assert all((p.grad is not None) == p.requires_grad for p in method.parameters())
    assert not any(p.requires_grad for p in encoder.encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.encoder.state_dict().items())
