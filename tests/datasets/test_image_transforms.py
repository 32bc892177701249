import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional as F

from datasets import image_transforms as T
from tests.tiny_trees import disc_view


def picture(size=(19, 13), seed=0):
    """RGB noise of (width, height)."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_the_result_is_square_whatever_the_aspect():
    result = T.published_image_augment(picture(), np.random.default_rng(0), 17)
    assert result.shape == (3, 17, 17)
    assert result.dtype == torch.float32


def test_resize_and_normalise_equal_torchvision_on_pil_pictures():
    reference = transforms.Compose(
        [
            transforms.Resize((17, 17)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    ours = T.to_normalized_tensor(T.resize_square(picture((41, 37)), 17))
    torch.testing.assert_close(ours, reference(picture((41, 37))), rtol=0, atol=1e-6)


def test_the_input_picture_is_not_changed():
    image = picture()
    T.published_image_augment(image, np.random.default_rng(0), 13)
    assert image.tobytes() == picture().tobytes()


def test_equal_generators_give_equal_pictures_and_different_ones_differ():
    first, again, other = (T.published_image_augment(picture(), np.random.default_rng(seed), 13) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.fixture
def recorded(monkeypatch):
    """Replace the three adjustments by recorders; yields the list of (name, factor) they were called with."""
    calls = []
    names = [adjust.__name__.removeprefix("adjust_") for adjust in T._ADJUSTMENTS]
    recorders = [lambda image, factor, name=name: calls.append((name, factor)) or image for name in names]
    monkeypatch.setattr(T, "_ADJUSTMENTS", recorders)
    return calls


def test_jitter_draws_the_factors_of_torchvisions_color_jitter(recorded):
    reference = transforms.ColorJitter(0.4, 0.4, 0.4)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        T.colour_jitter(picture(), rng)
    assert reference.hue is None
    for name in ("brightness", "contrast", "saturation"):
        low, high = getattr(reference, name)
        factors = np.array([factor for called, factor in recorded if called == name])
        assert len(factors) == 2000
        assert low <= factors.min() < low + 0.01
        assert high - 0.01 < factors.max() <= high
        assert factors.mean() == pytest.approx((low + high) / 2, abs=4 * 0.8 / (12 * 2000) ** 0.5)
        assert factors.var() == pytest.approx(0.8**2 / 12, rel=0.08)


def test_jitter_applies_its_three_changes_in_every_order_equally_often(recorded):
    rng = np.random.default_rng(0)
    for _ in range(1200):
        T.colour_jitter(picture(), rng)
    orders = [tuple(name for name, _ in recorded[i : i + 3]) for i in range(0, len(recorded), 3)]
    counts = [orders.count(order) for order in itertools.permutations(("brightness", "contrast", "saturation"))]
    assert sum(counts) == 1200
    assert sum((count - 200) ** 2 / 200 for count in counts) < 20.5  # chi square, 5 degrees of freedom, p = 0.001


def test_jitter_equals_torchvisions_functions_applied_in_the_drawn_order():
    rng = np.random.default_rng(5)
    order, factors = rng.permutation(3), rng.uniform(0.6, 1.4, 3)
    expected = picture()
    for which in order:
        expected = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation][which](expected, factors[which])
    assert T.colour_jitter(picture(), np.random.default_rng(5)).tobytes() == expected.tobytes()


def test_half_of_the_pictures_are_mirrored():
    rng = np.random.default_rng(0)
    plain, mirrored = picture().tobytes(), F.hflip(picture()).tobytes()
    results = [T.random_flip(picture(), rng).tobytes() for _ in range(1000)]
    assert set(results) == {plain, mirrored}
    assert abs(results.count(mirrored) - 500) < 64  # 4 standard deviations


def test_pixel_statistics_equal_those_of_torchvisions_own_chain():
    reference = transforms.Compose(
        [
            transforms.Resize((8, 8)),
            transforms.ColorJitter(0.4, 0.4, 0.4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(T.IMAGENET_MEAN, T.IMAGENET_STD),
        ]
    )
    image = Image.fromarray(disc_view(16)[..., :3])
    rng = np.random.default_rng(0)
    ours = torch.stack([T.published_image_augment(image, rng, 8) for _ in range(1500)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack([reference(image) for _ in range(1500)])
    standard_error = (ours.var(0) / 1500 + theirs.var(0) / 1500).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() / standard_error).max() < 4.5  # of 192 correlated values
    torch.testing.assert_close(ours.std(0), theirs.std(0), rtol=0.12, atol=0)
