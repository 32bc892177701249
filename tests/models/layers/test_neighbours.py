"""Neighbour search."""

import pytest
import torch

from models.layers import neighbours
from models.layers.neighbours import GROUP, TREE, knn, knn_rows
from models.rows import CloudRows, Edges, dense_rows, flat_index, merge_copies
from tests.models.layers.published_formulation import exact_knn


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(1)


@pytest.mark.parametrize("channels", [3, 64])
def test_finds_the_nearest_points(channels):
    x = torch.randn(2, 53, channels, dtype=torch.float64)
    assert torch.equal(knn(x, 7).sort().values, exact_knn(x, 7).sort().values)


@pytest.mark.parametrize("num_points", [2 * 7 * GROUP - 1, 2 * 7 * GROUP, 2 * 7 * GROUP + 5, 331])
def test_large_clouds_are_searched_by_groups_with_the_same_result_nearest_first(num_points):
    x = torch.randn(2, num_points, 3, dtype=torch.float64)
    assert torch.equal(knn(x, 7), exact_knn(x, 7))  # distances are distinct: the order is the only right one


@pytest.mark.parametrize("few_threads", [0, 10**6])
@pytest.mark.parametrize("num_points", [9, 200, 700, 2500])
def test_both_ways_of_selection_find_the_nearest_in_order(monkeypatch, few_threads, num_points):
    monkeypatch.setattr(neighbours, "FEW_THREADS", few_threads)
    x = torch.rand(1, num_points, 5) * 4 - 1
    distance = torch.cdist(x.double(), x.double())[0]
    found = distance.gather(1, knn(x, 9)[0])
    assert torch.allclose(found, distance.topk(9, largest=False).values, atol=1e-4)
    assert (found.diff(dim=1) > -1e-4).all()


@pytest.mark.parametrize("k", [1, 7])
def test_large_clouds_in_space_are_searched_by_a_tree_with_the_same_result(k):
    x = torch.randn(2, TREE, 3)
    assert torch.equal(knn(x, k), exact_knn(x, k))
    assert knn(x[:, :-1], k).dtype == knn(x, k).dtype == torch.int64


@pytest.mark.parametrize("num_points", [53, TREE])
def test_finds_them_far_from_the_origin_in_float32(num_points):
    x = torch.rand(2, num_points, 3) + 100
    assert torch.equal(knn(x, 7).sort().values, exact_knn(x, 7).sort().values)


def test_a_point_is_its_own_neighbour():
    x = torch.randn(2, 11, 3)
    assert (knn(x, 3) == torch.arange(11)[None, :, None]).any(dim=-1).all()


def test_autocast_does_not_lower_its_precision():
    x = torch.randn(1, 101, 64)
    with torch.autocast("cpu", torch.bfloat16):
        index = knn(x, 9)
    assert torch.equal(index, knn(x, 9))


def test_too_few_points_is_an_error_that_names_both_numbers():
    with pytest.raises(ValueError, match="5 points but k = 6"):
        knn(torch.randn(1, 5, 3), 6)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_an_error(value):
    with pytest.raises(ValueError, match="non-finite"):
        knn(torch.full((1, 5, 3), value), 2)


def test_distances_that_overflow_are_an_error_and_those_that_just_do_not_are_right():
    x = torch.rand(1, 300, 3) * 2 - 1
    x[0, :2] = torch.tensor([[1.0, 1, 1], [-1, -1, -1]])
    small, large = (x * scale for scale in (3.7e18, 1e19))
    assert torch.equal(knn(small, 7), exact_knn(small, 7))
    with pytest.raises(ValueError, match=r"up to 1e\+19: their squared distances overflow float32; scale the clouds"):
        knn_rows(*dense_rows(large), 7)
    assert torch.equal(knn(large.double(), 7), exact_knn(large, 7))


def test_merged_copies_are_counted_by_the_first_row():
    points = torch.randn(2, 7, 3)
    points[0, [2, 3, 6]] = points[0, 0].clone()
    rows, clouds = merge_copies(points)
    assert clouds.lengths == [4, 7]
    assert torch.equal(clouds.weight, torch.tensor([4.0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]))
    assert torch.equal(rows, torch.cat([points[0, [0, 1, 4, 5]], points[1]]))


def test_batches_of_few_sizes_keep_some_copies():
    points = torch.randn(2, 8, 3)
    points[:, 2:] = points[:, :1].clone()
    few = {n: merge_copies(points, max_sizes=n)[1] for n in (16, 3, 1)}
    assert {n: clouds.lengths for n, clouds in few.items()} == {16: [2, 2], 3: [4, 2], 1: [8, 8]}
    assert few[3].weight.tolist() == [5, 1, 1, 1, 7, 1]
    assert few[1].weight is None


def test_clouds_without_copies_stay_dense():
    assert merge_copies(torch.randn(2, 7, 3))[1] == CloudRows([7, 7])


def test_rows_have_the_neighbours_of_their_cloud():
    x = torch.randn(3, 19, 4)
    assert torch.equal(knn_rows(*dense_rows(x), 5), flat_index(knn(x, 5)))


def test_a_row_of_several_points_fills_as_many_places():
    x = torch.tensor([[0.0], [1.0], [2.5], [3.5]])
    index = knn_rows(x, CloudRows([4], torch.tensor([3.0, 1, 1, 1])), 4)
    assert index.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [2, 3, 1, 0], [3, 2, 1, 0]]


def test_edges_are_sorted_by_the_row_they_lead_to():
    edges = Edges(torch.tensor([[2, 0], [2, 1], [0, 2]]))
    order, offsets = edges.by_neighbour
    assert order.tolist() == [1, 4, 3, 0, 2, 5]
    assert offsets.tolist() == [0, 2, 3, 6]


def test_clouds_are_equal_if_they_have_as_many_rows_of_one_point_each():
    assert CloudRows([3, 3]).are_equal
    assert not CloudRows([2, 4]).are_equal
    assert not CloudRows([3, 3], torch.ones(6)).are_equal
