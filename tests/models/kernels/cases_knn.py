"""Every form of the neighbour search against distances in float64."""

import pytest
import torch
from torch.testing import assert_close

from models.kernels import knn
from models.kernels.knn_tiled import Blocks, nearest_tiled
from tests.models.layers.published_formulation import exact_knn


def distances(x, index):
    """Return squared distances to the chosen points, in float64. Shape: (B, N, C), (B, N, K) -> (B, N, K)."""
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
@pytest.mark.parametrize("shape, k", [((2, 66, 3), 3), ((1, 36, 40), 9), ((1, 34, 3), 34), ((1, 35, 3), 1)])
def test_finds_the_nearest_points_nearest_first(device, form, shape, k):
    x = torch.randn(shape, device=device)
    assert_nearest(x, knn.nearest(x, k, form), k)


@pytest.mark.parametrize("form", knn.FORMS)
def test_finds_them_among_copies_and_far_from_the_origin(device, form):
    x = torch.rand(1, 65, 3, device=device)
    x[:, 20:40] = x[:, :1]
    x += 100  # uncentred, |y|^2 / 2 - xy would be rounded by a thousandth of the cloud's size
    assert_nearest(x, knn.nearest(x, 4, form), 4)


def test_chunks_of_a_batch_give_what_one_piece_gives(device, monkeypatch):
    x = torch.randn(5, 40, 3, device=device)
    whole = knn.nearest(x, 4, "topk")
    monkeypatch.setattr(knn, "SCORE_BYTES", 2 * 40 * 40 * 4)
    assert torch.equal(knn.nearest(x, 4, "topk"), whole)


def test_other_blocks_find_the_same(device):
    x = torch.randn(1, 40, 20, device=device)
    assert_nearest(x, nearest_tiled(x - x.mean(dim=1, keepdim=True), 6, block=Blocks(16, 32, 1)), 6)


def test_float64_is_searched_in_float64(device):
    x = torch.randn(1, 50, 3, dtype=torch.float64, device=device)
    assert torch.equal(knn.nearest(x, 5, "tiled"), exact_knn(x, 5))


@pytest.fixture
def _tf32():
    """Let float32 products be rounded, as a user may."""
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.fixture
def chosen(monkeypatch):
    """Record the names of the forms that `nearest` calls, in place of running them."""
    calls = []
    for name in knn.FORMS:
        monkeypatch.setitem(knn.FORMS, name, lambda x, k, name=name: calls.append(name))
    return calls


@pytest.mark.usefixtures("_tf32")
def test_products_that_may_be_rounded_to_tf32_are_not_used(chosen):
    for dtype in (torch.float32, torch.float64):
        knn.nearest(torch.zeros(1, 9, 3, dtype=dtype), 2)
    assert chosen == ["cdist", "topk"]


@pytest.mark.parametrize("form", ["topk", "tiled"])
def test_the_form_of_choice_is_taken_where_it_runs(monkeypatch, chosen, form):
    monkeypatch.setattr(knn, "FORM", form)
    for can_run in (False, True):
        monkeypatch.setattr(knn, "can_run", lambda x, can_run=can_run: can_run)
        knn.nearest(torch.zeros(1, 9, 3), 2)
    assert chosen == ["topk", form]
