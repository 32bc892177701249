"""Farthest-point order."""

import numpy as np
import pytest
import torch

from models.layers.farthest_points import farthest_order


def test_each_point_is_the_farthest_from_those_before():
    points = torch.randn(4, 60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points[1, 30:] = points[1, :30]  # copies come last
    order = farthest_order(points)
    for cloud, found in zip(points, order):
        assert found[0] == 0
        assert sorted(found.tolist()) == list(range(60))
        for step in range(1, 60):
            distance = torch.cdist(cloud, cloud[found[:step]]).min(dim=1).values
            rest = [point for point in range(60) if point not in found[:step].tolist()]
            assert distance[found[step]] >= distance[rest].max() - 1e-6
    assert torch.equal(farthest_order(points, 7), order[:, :7])


def test_the_order_begins_where_it_is_told_to():
    points = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(0))
    first = torch.tensor([7, 0, 39])
    order = farthest_order(points, 5, first)
    for cloud, start, found in zip(points, first, order, strict=True):
        swapped = torch.arange(40)
        swapped[0], swapped[start] = start, 0
        assert torch.equal(found, swapped[farthest_order(cloud[swapped][None], 5)[0]])


def test_equal_distances_are_equal_whatever_the_processor():
    points = torch.randint(-5, 6, (1, 300, 3), generator=torch.Generator().manual_seed(0)).float() / 10
    expected, cloud, nearest = [0], points[0].numpy(), np.full(300, np.inf, np.float32)
    for _ in range(299):
        x, y, z = (cloud - cloud[expected[-1]]).T
        nearest = np.minimum(nearest, x * x + y * y + z * z)  # each product and sum rounded to float32
        nearest[expected[-1]] = -1
        expected.append(int(nearest.argmax()))
    assert farthest_order(points)[0].tolist() == expected


def test_refuses_more_points_than_there_are():
    with pytest.raises(ValueError, match="expected 1 to 5"):
        farthest_order(torch.zeros(1, 5, 3), 6)
