import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chisquare
from torchvision import transforms
from torchvision.transforms import functional as F

from datasets.transforms import image_transforms as T
from tests.datasets.transforms.uniform import assert_uniform
from tests.support.tiny_trees import disc_view

ADJUST = {T.BRIGHTNESS: F.adjust_brightness, T.CONTRAST: F.adjust_contrast, T.SATURATION: F.adjust_saturation}

NORMALISED = transforms.Compose([transforms.ToTensor(), transforms.Normalize(T.IMAGENET_MEAN, T.IMAGENET_STD)])


def picture(size=(19, 13), seed=0):
    """RGB noise of (width, height)."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def pixels(image):
    return T.to_pixels(image).float()


def assert_almost_always_equal(values, expected, *, most=1.0, share):
    """Whole numbers: at most `share` of them differ, none by more than `most`."""
    difference = (values.double() - expected.double()).abs()
    assert difference.max() <= most
    assert (difference > 0).double().mean() <= share


@pytest.mark.parametrize("resize", [T.resize_square, T.resize_square_by_float])
@pytest.mark.parametrize(("size", "to"), [((137, 137), 224), ((112, 112), 224), ((61, 47), 64), ((64, 64), 64)])
def test_resize_equals_pillows_but_for_single_steps(resize, size, to):
    image = picture(size)
    expected = T.to_pixels(image.resize((to, to), Image.Resampling.BILINEAR))
    ours = resize(T.to_pixels(image)[None], to)[0]
    assert ours.dtype == torch.uint8
    assert_almost_always_equal(ours, expected, share=2e-3)


def test_normalise_equals_torchvision():
    torch.testing.assert_close(T.normalize_(pixels(picture())), NORMALISED(picture()), rtol=0, atol=1e-6)


def test_a_plain_image_is_the_augmented_one_without_its_draws():
    image = T.to_pixels(picture())
    nothing = T.ImageDraw(np.arange(3), np.ones(3), flip=False)
    result = T.plain_image(image, 17)
    assert torch.equal(result, T.augment_image(image, nothing, 17))
    assert result.shape == (3, 17, 17)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("which", T.ADJUSTMENTS)
def test_an_adjustment_equals_torchvisions_on_a_picture(which, seed):
    for factor in np.random.default_rng(seed).uniform(0.6, 1.4, 10):
        expected = pixels(ADJUST[which](picture((61, 47), seed), factor))
        assert_almost_always_equal(T.adjust_(pixels(picture((61, 47), seed)), which, factor), expected, share=1e-4)


def test_grey_is_pillows_for_every_shade():
    red, green, blue = np.meshgrid(*[np.arange(0, 256, 5)] * 3, indexing="ij")
    image = Image.fromarray(np.stack([red, green, blue], -1).reshape(52, -1, 3).astype(np.uint8))
    np.testing.assert_array_equal(T.grey(pixels(image))[0], np.asarray(image.convert("L")))


@pytest.mark.parametrize("size", [13, 19])
def test_the_input_stays_and_the_result_is_square_and_depends_on_the_generator_alone(size):
    values = T.to_pixels(picture())
    draws = (T.draw_image(np.random.default_rng(seed)) for seed in (3, 3, 4))
    first, again, other = (T.augment_image(values, draw, size) for draw in draws)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.shape, first.dtype) == ((3, size, size), torch.float32)
    assert torch.equal(values, T.to_pixels(picture()))


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(0)
    return [T.draw_image(rng) for _ in range(2000)]


def test_jitter_draws_the_factors_of_torchvisions_color_jitter(draws):
    reference = transforms.ColorJitter(0.4, 0.4, 0.4)
    assert reference.hue is None
    factors = np.stack([draw.factor for draw in draws])
    for which, name in ((T.BRIGHTNESS, "brightness"), (T.CONTRAST, "contrast"), (T.SATURATION, "saturation")):
        assert_uniform(factors[:, which], *getattr(reference, name))


def test_changes_come_in_every_order_equally_often_and_half_of_the_pictures_are_mirrored(draws):
    orders = [tuple(draw.order.tolist()) for draw in draws]
    counts = [orders.count(order) for order in itertools.permutations(T.ADJUSTMENTS)]
    assert sum(counts) == len(draws)
    assert chisquare(counts).pvalue > 0.001
    assert abs(sum(draw.flip for draw in draws) - 1000) < 90  # 4 standard deviations


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(T.ADJUSTMENTS)))
def test_the_chain_equals_torchvisions_functions_on_a_picture(order, flip):
    draw = T.ImageDraw(np.array(order), np.array([1.3137, 0.7243, 1.3829]), flip)
    expected = picture((61, 47)).resize((64, 64), Image.Resampling.BILINEAR)
    for which in order:
        expected = ADJUST[which](expected, draw.factor[which])
    expected = T.normalize_(pixels(F.hflip(expected) if flip else expected))
    difference = (T.augment_image(T.to_pixels(picture((61, 47))), draw, 64) - expected).abs()
    assert difference.max() < 0.04  # two steps of 1/255
    assert (difference > 1e-6).double().mean() < 2e-3


def test_pixel_statistics_equal_those_of_torchvisions_own_chain():
    drawn = [transforms.Resize((8, 8)), transforms.ColorJitter(0.4, 0.4, 0.4), transforms.RandomHorizontalFlip()]
    reference = transforms.Compose([*drawn, NORMALISED])
    image = Image.fromarray(disc_view(16)[..., :3])
    rng = np.random.default_rng(0)
    ours = torch.stack([T.augment_image(T.to_pixels(image), T.draw_image(rng), 8) for _ in range(600)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack([reference(image) for _ in range(600)])
    standard_error = (ours.var(0) / 600 + theirs.var(0) / 600).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() / standard_error).max() < 4.5  # of 192 correlated values
    torch.testing.assert_close(ours.std(0), theirs.std(0), rtol=0.12, atol=0)
