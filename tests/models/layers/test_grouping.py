"""Groups of points: search against brute force, gathering, interpolation."""

import pytest
import torch
from torch.testing import assert_close

from models.layers import grouping
from models.layers.grouping import ball_query, gather, interpolate, nearest_points


def clouds(dtype=torch.float32):
    """Make clouds around (5, 5, 5) and some of their points as centres."""
    points = 0.3 * torch.randn(3, 211, 3, generator=torch.Generator().manual_seed(0), dtype=dtype) + 5
    points[1, 100:200] = points[1, :100]  # copies
    return points, points[:, ::13]


def by_brute_force(points, centres, radius, count):
    """Go through all points of every ball, in float64."""
    found = []
    for cloud, part in zip(points.double(), centres.double(), strict=True):
        for centre in part:
            inside = ((cloud - centre).square().sum(dim=1) <= radius * radius).nonzero()[:, 0].tolist()
            found.append((inside + [inside[0]] * count)[:count])
    return torch.tensor(found).view(*centres.shape[:2], count)


@pytest.mark.parametrize("radius", [1e-6, 0.1, 0.4, 9.0])  # the centre alone, a few, more than 7, all
@pytest.mark.parametrize("searched", [1, 1000, 2**19])  # a row of distances at a time, 4, all
def test_a_ball_holds_its_first_points_and_repeats_the_first(radius, searched, monkeypatch):
    monkeypatch.setattr(grouping, "SEARCHED", searched)
    points, centres = clouds()
    assert torch.equal(ball_query(points, centres, radius, 7), by_brute_force(points, centres, radius, 7))


def test_products_rounded_to_tf32_leave_out_no_point(monkeypatch):
    def rounded(total, a, b, alpha):
        kept = [(x.view(torch.int32) & -(2**13)).view(torch.float32) for x in (a.contiguous(), b.contiguous())]
        return total + alpha * (kept[0] @ kept[1])

    monkeypatch.setattr(grouping, "allows_tf32", lambda: True)
    monkeypatch.setattr(torch, "addmm", rounded)
    points, centres = clouds()
    for radius in (1e-6, 0.1, 0.4):
        assert torch.equal(ball_query(points, centres, radius, 211), by_brute_force(points, centres, radius, 211))


def test_points_on_the_sphere_belong_to_the_ball_and_those_just_outside_do_not():
    beyond = torch.nextafter(torch.tensor(0.25), torch.tensor(1.0)).item()
    points = torch.tensor([[[0.0, 0, 0], [0, beyond, 0], [0, 0.25, 0], [0.25, 0, 0]]]) + torch.tensor([64.0, 0, 0])
    assert ball_query(points, points[:, :1], 0.25, 4).tolist() == [[[0, 2, 3, 0]]]


def test_a_centre_without_points_and_coordinates_that_are_not_finite_are_refused():
    points, centres = clouds()
    with pytest.raises(ValueError, match="no point lies in the ball of 1 centres"):
        ball_query(points[:1], torch.full((1, 1, 3), 9.0), 0.1, 4)
    points[0, 3, 1] = torch.nan
    for search in (lambda: ball_query(points, centres, 0.1, 4), lambda: nearest_points(points, centres, 4)):
        with pytest.raises(ValueError, match="non-finite coordinates"):
            search()


def test_nearest_points_are_nearest_in_order_and_all_where_there_are_fewer():
    points, centres = clouds(torch.float64)
    points[1] += 1e-3 * torch.randn(211, 3, dtype=torch.float64)  # no ties
    distance, index = nearest_points(points, centres, 9)
    exact = (centres[:, :, None] - points[:, None]).norm(dim=-1)
    assert_close(distance, exact.sort(dim=-1)[0][..., :9])
    assert torch.equal(index, exact.argsort(dim=-1)[..., :9])
    assert nearest_points(points[:, :5], centres, 9)[1].shape == (3, 17, 5)


def test_gathered_rows_are_those_of_their_cloud_and_their_gradients_add_up():
    rows = torch.randn(3, 11, 4, dtype=torch.float64, requires_grad=True)
    index = torch.randint(11, (3, 5, 2), generator=torch.Generator().manual_seed(0))
    found = gather(rows, index)
    assert torch.equal(found, torch.stack([cloud[places] for cloud, places in zip(rows, index, strict=True)]))
    found.sum().backward()
    assert torch.equal(rows.grad[..., 0], torch.stack([places.flatten().bincount(minlength=11) for places in index]))


def test_a_point_takes_the_features_of_its_three_nearest_centres_by_inverse_squared_distance():
    centres = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [9, 9, 9]]])
    rows = torch.tensor([[[1.0], [2.0], [4.0], [100.0]]])
    points = torch.tensor([[[0.0, 1, 0], [1, 0, 0]]])
    weights = torch.tensor([1.0, 1 / 2, 1.0])  # distances 1, sqrt(2), 1
    expected = (weights * torch.tensor([1.0, 2.0, 4.0])).sum() / weights.sum()
    assert_close(interpolate(rows, centres, points)[0, :, 0], torch.stack([expected, torch.tensor(2.0)]))
    assert_close(interpolate(rows[:, :1], centres[:, :1], points)[0, :, 0], torch.ones(2))  # a single centre
