"""Batches are augmented as single items are: equal where the draws are given, and drawn from equal distributions."""

import collections
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, ks_2samp, kstest

from datasets.transforms import batch_augment as B
from datasets.transforms.image_transforms import ADJUSTMENTS, augment_image, draw_image
from datasets.transforms.point_transforms import PointAugment, augmented_pair, unit_sphere
from tests.support.tiny_trees import cloud

SETTINGS = [PointAugment(), PointAugment("so3", 1.25, 0.1, 0.5), PointAugment("none", 1.0, 0.0, 0.0)]
EACH_SETTING = pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s.rotation)
GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])


def generator(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def clouds(count, num_points=97):
    return torch.from_numpy(np.stack([cloud(seed, num_points) for seed in range(count)]))


def images(count, height=21, width=17):
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator())


class Recorder:
    """A numpy generator that keeps what it draws, by the name of the method."""

    def __init__(self, seed):
        self.rng, self.drawn = np.random.default_rng(seed), collections.defaultdict(list)

    def __getattr__(self, method):
        def draw(*args, **options):
            value = getattr(self.rng, method)(*args, **options)
            self.drawn[method].append(np.copy(value))
            return value

        return draw


def single_clouds(settings, points):
    """Clouds augmented one by one, and what was drawn for them, as draws of a batch and in float64."""
    augmented, rows = [], []
    for number, sample in enumerate(points):
        rng = Recorder(number)
        augmented.append(settings(sample, rng))
        factor, *angle, shift, ratio = rng.drawn["uniform"]
        *quaternion, noise = rng.drawn["standard_normal"]
        (uniforms,) = rng.drawn["random"]
        rotation = {"y": angle, "so3": quaternion, "none": [0]}[settings.rotation][0]
        rows.append((factor, rotation, shift, np.clip(noise * 0.01, -0.05, 0.05), uniforms <= ratio))
    draws = B.PointDraws(*(torch.from_numpy(np.stack(column)) for column in zip(*rows)))
    turn = {"y": B.rotations_about_y, "so3": B.quaternion_rotations, "none": lambda nothing: None}[settings.rotation]
    return torch.from_numpy(np.stack(augmented)), draws._replace(rotation=turn(draws.rotation))


@EACH_SETTING
def test_given_the_draws_a_batch_of_clouds_equals_single_clouds(settings):
    expected, draws = single_clouds(settings, clouds(7).numpy())
    draws = B.PointDraws(*(value.float() if value is not None else None for value in draws[:4]), draws.dropped)
    torch.testing.assert_close(B.augment_points(clouds(7), draws), expected, rtol=0, atol=3e-6)


def test_given_the_draws_a_batch_of_images_equals_single_images():
    values, rng = images(48), np.random.default_rng(0)
    drawn = [draw_image(rng) for _ in values]
    assert len({tuple(draw.order) for draw in drawn}) == 6
    draws = B.ImageDraws(*(torch.from_numpy(np.array(column)) for column in zip(*drawn)))
    draws = draws._replace(factor=draws.factor.float())
    ours = B.augment_images(values, draws, 24)
    expected = torch.stack([augment_image(pixels, draw, 24) for pixels, draw in zip(values, drawn)])
    difference = (ours - expected).abs()
    assert difference.max() < 0.04  # two steps of 1/255
    assert (difference > 1e-6).double().mean() < 1e-3


COUNT = 4000


@pytest.fixture(scope="module", params=SETTINGS[:2], ids=lambda s: s.rotation)
def both(request):
    """Settings, the draws of 4,000 single clouds of 5 points, and those of one batch of as many."""
    single = single_clouds(request.param, [cloud(0, 5)] * COUNT)[1]
    return request.param, single, B.draw_points(request.param, COUNT, 5, generator(2))


def assert_same_distribution(ours, theirs):
    assert ks_2samp(np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()).pvalue > 0.01


def test_scale_factors_shifts_and_noise_have_one_distribution(both):
    settings, single, batch = both
    pairs = [(batch.factor, single.factor), (batch.noise, single.noise), *zip(batch.shift.T, single.shift.T)]
    for ours, theirs in pairs:
        assert_same_distribution(ours, theirs)
    width = settings.max_scale - 1 / settings.max_scale
    assert kstest(batch.factor.double(), "uniform", (1 / settings.max_scale, width)).pvalue > 0.01
    assert np.abs(np.corrcoef(batch.shift.T) - np.eye(3)).max() < 0.06
    assert batch.noise.abs().max() <= 0.05
    assert len(batch.noise.unique()) > 0.95 * batch.noise.numel()


def test_dropout_has_one_distribution(both):
    settings, single, batch = both
    counts = np.stack([np.bincount(draws.dropped.sum(dim=1), minlength=6) for draws in (batch, single)])
    assert chisquare(counts[0], counts[1]).pvalue > 0.001
    ratios = B.draw_points(settings, COUNT, 2000, generator(3)).dropped.double().mean(dim=1)
    assert kstest(ratios / settings.max_dropout, "uniform").pvalue > 0.01


def test_rotations_have_one_distribution(both):
    settings, single, batch = both
    if settings.rotation == "y":
        ours, theirs = (torch.atan2(draws.rotation[:, 0, 2], draws.rotation[:, 0, 0]) for draws in (batch, single))
        assert_same_distribution(ours % (2 * math.pi), theirs % (2 * math.pi))
        assert torch.equal(batch.rotation[:, 1], torch.tensor([0.0, 1.0, 0.0]).expand(COUNT, 3))
        return
    for ours, theirs in zip(batch.rotation.flatten(1).T, single.rotation.flatten(1).T):
        assert_same_distribution(ours, theirs)
        assert kstest(ours.double(), "uniform", (-1, 2)).pvalue > 0.001
    torch.testing.assert_close(batch.rotation @ batch.rotation.mT, torch.eye(3).expand(COUNT, 3, 3), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def image_draws():
    """The draws of 4,000 single images, and those of one batch of as many."""
    rng = np.random.default_rng(0)
    return [draw_image(rng) for _ in range(COUNT)], B.draw_images(COUNT, generator(1))


@pytest.mark.parametrize("which", ADJUSTMENTS)
def test_strengths_of_each_adjustment_have_one_distribution(image_draws, which):
    single, batch = image_draws
    assert_same_distribution(batch.factor[:, which], [draw.factor[which] for draw in single])
    assert kstest(batch.factor[:, which].double(), "uniform", (0.6, 0.8)).pvalue > 0.01


def test_orders_are_equally_frequent_half_of_the_images_mirrored_and_each_draw_independent_of_the_rest(image_draws):
    _, batch = image_draws
    orders, counts = batch.order.unique(dim=0, return_counts=True)
    assert orders.tolist() == [list(order) for order in itertools.permutations(sorted(ADJUSTMENTS))]
    assert chisquare(counts).pvalue > 0.001
    assert abs(int(batch.flip.sum()) - COUNT / 2) < 4 * math.sqrt(COUNT) / 2
    table = torch.cat([batch.order[:, :2], batch.factor, batch.flip[:, None]], dim=1).T
    correlation = torch.corrcoef(table.double())
    correlation[0, 1] = correlation[1, 0] = 0  # first and second place exclude each other
    assert (correlation - torch.eye(6)).abs().max() < 0.06


@EACH_SETTING
def test_augmented_clouds_have_the_statistics_of_single_ones(settings):
    points, rng = cloud(0, 31), np.random.default_rng(0)
    single = torch.from_numpy(np.stack([settings(points, rng) for _ in range(1000)])).double()
    draws = B.draw_points(settings, 1000, 31, generator(5))
    batch = B.augment_points(torch.from_numpy(points).expand(1000, 31, 3), draws).double()
    error = (single.var(0) / 1000 + batch.var(0) / 1000).sqrt()
    assert ((single.mean(0) - batch.mean(0)).abs() / error).max() < 4.5
    torch.testing.assert_close(single.std(0), batch.std(0), rtol=0.12, atol=0)


@EACH_SETTING
@DEVICES
def test_two_augmentations_and_the_images_of_a_batch_all_differ(settings, device):
    points = clouds(1).expand(5, 97, 3).to(device)
    batch = {"aug_a": points, "aug_b": points, "image": images(1).expand(5, 3, 21, 17).to(device), "index": None}
    result = B.BatchAugment(augmented_pair(settings), 24, seed=0)(batch, 0, 0)
    assert result["image"].shape == (5, 3, 24, 24)
    assert result["image"].device.type == device
    for name in ("aug_a", "aug_b"):
        assert result[name].shape == (5, 97, 3)
    assert len(torch.cat([result["aug_a"], result["aug_b"]]).flatten(1).unique(dim=0)) == 10
    assert len(result["image"].flatten(1).unique(dim=0)) == 5
    assert result.keys() == batch.keys()


@pytest.mark.parametrize("settings", [pytest.param(SETTINGS[0], marks=GPU)])
def test_given_the_draws_a_gpu_computes_what_the_cpu_computes(settings):
    points, values = clouds(4), images(4)
    draws, image_draws = B.draw_points(settings, 4, 97, generator()), B.draw_images(4, generator())
    on_gpu = [B.PointDraws(*(value.cuda() for value in draws)), B.ImageDraws(*(v.cuda() for v in image_draws))]
    there = B.augment_points(points.cuda(), on_gpu[0]).cpu(), B.augment_images(values.cuda(), on_gpu[1], 24).cpu()
    torch.testing.assert_close(there[0], B.augment_points(points, draws), rtol=0, atol=1e-5)
    difference = (there[1] - B.augment_images(values, image_draws, 24)).abs()
    assert difference.max() < 0.04
    assert (difference > 1e-5).double().mean() < 0.01


def test_a_batch_is_a_function_of_seed_epoch_and_step_and_leaves_global_generators_alone():
    batch, state = {"aug_a": clouds(2), "aug_b": clouds(2), "image": images(2)}, torch.get_rng_state()

    def run(seed, epoch, step):
        return B.BatchAugment(augmented_pair(PointAugment("so3")), 24, seed)(batch, epoch, step)

    first = run(3, 1, 2)
    assert all(torch.equal(value, run(3, 1, 2)[name]) for name, value in first.items())
    for other in ((4, 1, 2), (3, 2, 2), (3, 1, 3), (3, 2, 1)):
        assert all(not torch.equal(value, run(*other)[name]) for name, value in first.items())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    "keys", [{"points": PointAugment()}, {"weak": PointAugment("none", 1, 0, 0), "strong": PointAugment()}]
)
def test_any_clouds_are_augmented_each_by_its_settings_alike_on_any_number_of_ranks(keys):
    batch = {key: clouds(4) for key in keys} | {"other": clouds(4)}
    whole = B.BatchAugment(keys, 24, 0)(batch, 0, 0)
    halves = [
        B.BatchAugment(keys, 24, 0, rank, 2)({key: rows.chunk(2)[rank] for key, rows in batch.items()}, 0, 0)
        for rank in (0, 1)
    ]
    assert torch.equal(whole["other"], batch["other"])
    for key, settings in keys.items():
        assert torch.equal(whole[key], torch.cat([half[key] for half in halves]))
        extent = whole[key].amax(1) - whole[key].amin(1)
        assert (extent.max() <= 2.2) == (settings.max_scale == 1), key


def test_local_clouds_and_several_views_are_augmented_each_on_its_own_alike_on_any_number_of_ranks():
    local = PointAugment(num_points=31)
    keys = augmented_pair() | {"local_0": local, "local_1": local}
    batch = {key: clouds(1, how.num_points or 97).expand(4, -1, 3) for key, how in keys.items()}
    batch["image"] = images(1).expand(8, 3, 21, 17).unflatten(0, (4, 2))
    whole = B.BatchAugment(keys, 24, 0)(batch, 0, 0)
    halves = [
        B.BatchAugment(keys, 24, 0, rank, 2)({key: rows.chunk(2)[rank] for key, rows in batch.items()}, 0, 0)
        for rank in (0, 1)
    ]
    assert all(torch.equal(rows, torch.cat([half[key] for half in halves])) for key, rows in whole.items())
    assert whole["image"].shape == (4, 2, 3, 24, 24)
    assert len(whole["image"].flatten(0, 1).flatten(1).unique(dim=0)) == 8
    assert whole["local_1"].shape == (4, 31, 3)
    assert len(torch.cat([whole["local_0"], whole["local_1"]]).flatten(1).unique(dim=0)) == 8


def test_the_input_is_not_changed_and_images_may_be_absent():
    batch = {"aug_a": clouds(2), "aug_b": clouds(2)}
    assert B.BatchAugment(augmented_pair(), 24, 0)(batch, 0, 0).keys() == batch.keys()
    assert torch.equal(batch["aug_a"], clouds(2))


def test_without_any_change_a_cloud_is_only_normalised():
    draws = B.draw_points(PointAugment("none", 1, 0, 0), 3, 97, generator())
    assert draws.dropped.sum() == 0
    ours = B.augment_points(clouds(3), draws._replace(noise=torch.zeros(3, 97, 3)))
    torch.testing.assert_close(ours.numpy(), unit_sphere(clouds(3).numpy()), rtol=0, atol=1e-6)
