"""Items of multi-view pre-training: clouds, pairs of what is left of them, the teacher's words."""

from types import SimpleNamespace

import numpy as np
import pytest

from datasets.pairs.multiview_items import MultiViewItems, SeenCloudAugment
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.point_transforms import unit_sphere
from tests.support.tiny_trees import write_pairs, write_shapenet

N = 80
TARGETS = SimpleNamespace(
    features=lambda index: (np.full((3, 4, 2, 2), index, np.float16), np.full(8, index, np.float32)),
    rank=lambda index: np.arange(N),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = write_shapenet(tmp_path_factory.mktemp("tree"), num_points=100, num_views=3)
    return ShapeNetRender(write_pairs(root))


def items(source, seed=0, **augment):
    sizes = {"num_points": N, "num_views": 3, "num_pairs": 30}
    return MultiViewItems(source, TARGETS, augment=SeenCloudAugment(**augment), seed=seed, **sizes)


def test_clouds_are_the_first_points_scaled_and_otherwise_as_stored(source):
    item = items(source)[1]
    assert np.array_equal(item["points"], unit_sphere(source.read_points(1)[:N]))
    assert (item["maps"] == 1).all()
    assert (item["target"] == 1).all()
    rows = source.read_pixel_pairs(1).rows(32)
    known = set(map(tuple, rows[rows[:, 3] < N].tolist()))
    assert set(map(tuple, item["pairs"].tolist())) <= known
    assert item["pairs"].shape == (30, 4)


def test_an_item_is_a_function_of_seed_epoch_and_index(source):
    data = items(source, rotation="y", max_scale=2.0, translation=0.5, sigma=0.01, max_dropout=0.5, partial=0.5)
    first = data[0]
    assert all(np.array_equal(value, data[0][name]) for name, value in first.items())
    data.set_epoch(1)
    assert not np.array_equal(first["points"], data[0]["points"])
    data.set_epoch(0)
    assert np.array_equal(first["points"], data.__getitems__([2, 0])[1]["points"])


@pytest.mark.parametrize("augment", [{"max_dropout": 0.9}, {"partial": 1.0}, {"partial": 1.0, "max_dropout": 0.9}])
def test_pairs_name_only_points_that_are_left(source, augment, monkeypatch):
    monkeypatch.setattr("datasets.pairs.multiview_items.LEAST_SHOWN", 1)
    for seed in range(5):
        data = items(source, seed, **augment)
        points, is_left = data.augment(
            source.read_points(2)[:N], np.random.default_rng(seed), source.read_pixel_pairs(2)
        )
        assert is_left.sum() < N or augment == {"partial": 1.0}  # the first view has no pair
        assert len(np.unique(points, axis=0)) == is_left.sum()
        assert (points[~is_left] == points[is_left][0]).all()
        item = data[2]
        copies = (item["points"] == item["points"][:, None]).all(dim=2).sum(dim=1)  # of each point
        assert len({point for point in item["pairs"][:, 3].tolist() if copies[point] > 1}) <= 1  # the one copied


def test_a_partial_cloud_is_what_one_view_shows(source, monkeypatch):
    monkeypatch.setattr("datasets.pairs.multiview_items.LEAST_SHOWN", 1)
    table = source.read_pixel_pairs(0)
    shown = [set(table.point[a:b].tolist()) & set(range(N)) for a, b in zip(table.starts, table.starts[1:])]
    augment = SeenCloudAugment(partial=1.0)
    points = source.read_points(0)[:N]
    for seed in range(6):
        varied, is_left = augment(points, np.random.default_rng(seed), table)
        left = set(np.flatnonzero(is_left).tolist())
        assert left in [view or set(range(N)) for view in shown]  # a view without a pair leaves the cloud whole
        np.testing.assert_allclose(varied[is_left], unit_sphere(points[is_left]), atol=1e-6)


def test_small_views_leave_the_cloud_whole(source):
    _, is_left = SeenCloudAugment(partial=1.0)(
        source.read_points(0)[:N], np.random.default_rng(0), source.read_pixel_pairs(0)
    )
    assert is_left.all()


@pytest.mark.parametrize("epoch", range(4))
def test_augmented_points_keep_their_numbers_and_dropped_ones_lose_their_pairs(source, epoch):
    data = items(source, rotation="y", translation=0.2, max_dropout=0.3)
    data.set_epoch(epoch)
    item = data[0]
    points, plain = item["points"].numpy(), unit_sphere(source.read_points(0)[:N])
    left = np.flatnonzero((points != points[0]).any(axis=1))
    distance = np.linalg.norm(points[left, None] - points[left], axis=2)
    expected = np.linalg.norm(plain[left, None] - plain[left], axis=2)
    np.testing.assert_allclose(distance, expected, atol=1e-5)
    rows = map(tuple, source.read_pixel_pairs(0).rows(32).tolist())
    assert {tuple(row) for row in item["pairs"].tolist()} <= {row for row in rows if row[3] in {0, *left}}
