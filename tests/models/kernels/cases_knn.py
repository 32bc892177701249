"""Every form of the neighbour search against distances in float64."""

import pytest
import torch
from torch.testing import assert_close

from models.kernels import knn
from models.kernels.knn_tiled import Blocks, nearest_tiled
from tests.models.published_formulation import exact_knn


def distances(x, index):
    """Squared distances to the chosen points, in float64. Shape: (B, N, C), (B, N, K) -> (B, N, K)."""
    x = x.double()
    chosen = torch.stack([cloud[rows] for cloud, rows in zip(x, index, strict=True)])
    return (chosen - x[:, :, None]).square().sum(dim=-1)


def assert_nearest(x, index, k):
    assert index.dtype == torch.int64
    assert index.shape == (*x.shape[:2], k)
    assert (index.sort().values.diff() > 0).all()  # no point twice
    spread = (x - x.mean(dim=1, keepdim=True)).square().sum(dim=-1).max().item()
    assert_close(distances(x, index), distances(x, exact_knn(x, k)), rtol=1e-5, atol=1e-6 * spread)


@pytest.mark.parametrize("form", knn.FORMS)
@pytest.mark.parametrize("shape, k", [((2, 77, 3), 5), ((1, 131, 40), 20), ((1, 33, 64), 33), ((1, 65, 3), 1)])
def test_finds_the_nearest_points_nearest_first(device, form, shape, k):
    x = torch.randn(shape, device=device)
    assert_nearest(x, knn.nearest(x, k, form), k)


@pytest.mark.parametrize("form", knn.FORMS)
def test_finds_them_among_copies_and_far_from_the_origin(device, form):
    x = torch.rand(1, 90, 3, device=device)
    x[:, 20:60] = x[:, :1]
    x += 100  # uncentred, |y|^2 / 2 - xy would be rounded by a thousandth of the cloud's size
    assert_nearest(x, knn.nearest(x, 8, form), 8)


def test_chunks_of_a_batch_give_what_one_piece_gives(device, monkeypatch):
    x = torch.randn(5, 40, 3, device=device)
    whole = knn.nearest(x, 4, "topk")
    monkeypatch.setattr(knn, "SCORE_BYTES", 2 * 40 * 40 * 4)
    assert torch.equal(knn.nearest(x, 4, "topk"), whole)


def test_other_blocks_find_the_same(device):
    x = torch.randn(1, 70, 20, device=device)
    assert_nearest(x, nearest_tiled(x - x.mean(dim=1, keepdim=True), 6, block=Blocks(16, 32, 1)), 6)


def test_float64_is_searched_in_float64(device):
    x = torch.randn(1, 50, 3, dtype=torch.float64, device=device)
    assert torch.equal(knn.nearest(x, 5, "tiled"), exact_knn(x, 5))
