"""Items of a cloud, its pairs and what a teacher says of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from datasets.pairs.multiview_items import MultiViewItems, SeenCloudAugment
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.point_transforms import unit_sphere
from tests.support.tiny_trees import write_pairs, write_shapenet

N, V, M = 60, 2, 32  # of 97 points and 3 views


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return ShapeNetRender(write_pairs(write_shapenet(tmp_path_factory.mktemp("tree"))))


def items_of(source, **options):
    targets = SimpleNamespace(features=lambda index: (np.zeros(1), np.zeros(1)), rank=lambda index: np.arange(N))
    return MultiViewItems(source, targets, num_points=N, num_views=V, num_pairs=40, **options)


def stored_rows(source, index):
    return {tuple(row) for row in source.read_pixel_pairs(index).rows(M).tolist() if row[0] < V and row[3] < N}


def test_a_plain_item_is_the_first_points_as_they_are_with_pairs_of_theirs(source):
    item = items_of(source)[1]
    assert np.array_equal(item["points"], unit_sphere(source.read_points(1)[:N]))
    assert {tuple(row) for row in item["pairs"].tolist()} <= stored_rows(source, 1)


@pytest.mark.parametrize("epoch", range(4))
def test_augmented_points_keep_their_numbers_and_dropped_ones_lose_their_pairs(source, epoch):
    items = items_of(source, augment=SeenCloudAugment(rotation="y", translation=0.2, max_dropout=0.3))
    items.set_epoch(epoch)
    item = items[0]
    points, plain = item["points"].numpy(), unit_sphere(source.read_points(0)[:N])
    left = np.flatnonzero((points != points[0]).any(axis=1))
    distance = np.linalg.norm(points[left, None] - points[left], axis=2)
    expected = np.linalg.norm(plain[left, None] - plain[left], axis=2)
    np.testing.assert_allclose(distance, expected, atol=1e-5)
    found = {tuple(row) for row in item["pairs"].tolist()}
    assert found == {row for row in stored_rows(source, 0) if row[3] in {0, *left}}
