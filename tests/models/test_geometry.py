"""Neighbour search."""

import pytest
import torch

from models.geometry import knn
from tests.models.published_formulation import exact_knn


@pytest.mark.parametrize("channels", [3, 64])
def test_finds_the_nearest_points(channels):
    torch.manual_seed(1)
    x = torch.randn(2, 53, channels, dtype=torch.float64)
    assert torch.equal(knn(x, 7).sort().values, exact_knn(x, 7).sort().values)


def test_finds_them_far_from_the_origin_in_float32():
    torch.manual_seed(1)
    x = torch.rand(2, 53, 3) + 100
    assert torch.equal(knn(x, 7).sort().values, exact_knn(x, 7).sort().values)


def test_a_point_is_its_own_neighbour():
    x = torch.randn(2, 11, 3)
    assert (knn(x, 3) == torch.arange(11)[None, :, None]).any(dim=-1).all()


def test_rotation_keeps_the_neighbours():
    torch.manual_seed(2)
    x = torch.randn(1, 31, 3, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    assert torch.equal(knn(x, 5).sort().values, knn(x @ rotation, 5).sort().values)


def test_autocast_does_not_lower_its_precision():
    torch.manual_seed(3)
    x = torch.randn(1, 101, 64)
    with torch.autocast("cpu", torch.bfloat16):
        index = knn(x, 9)
    assert torch.equal(index, knn(x, 9))


def test_too_few_points_is_an_error_that_names_both_numbers():
    with pytest.raises(ValueError, match="5 points but k = 6"):
        knn(torch.randn(1, 5, 3), 6)


def test_nan_is_an_error():
    with pytest.raises(ValueError, match="non-finite"):
        knn(torch.full((1, 5, 3), torch.nan), 2)
