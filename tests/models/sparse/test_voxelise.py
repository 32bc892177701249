"""Points to voxels and back, against loops over points."""

import pytest
import torch
from torch.testing import assert_close

from models.sparse.voxelise import voxelise

SIZE = 0.25


@pytest.fixture
def clouds():
    """Points of two clouds around the origin, some in one voxel, their features, and the clouds' lengths."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(70, 3, generator=generator) / 3
    return points, torch.randn(70, 2, generator=generator, dtype=torch.float64), [50, 20]


def by_loop(points, lengths):
    """The points of each voxel, in their order, by (batch, x, y, z)."""
    batch = [0] * lengths[0] + [1] * lengths[1]
    members = {}
    for i, (b, point) in enumerate(zip(batch, points.double().tolist())):
        members.setdefault((b, *(int(value // SIZE) for value in point)), []).append(i)
    return members


@pytest.mark.parametrize("reduce", ["mean", "first"])
def test_a_voxel_has_the_mean_or_the_first_of_its_points(clouds, reduce):
    points, features, lengths = clouds
    voxels = voxelise(points, features, SIZE, lengths, reduce)
    members = by_loop(points, lengths)
    assert max(map(len, members.values())) > 2
    found = voxels.tensor.level.coordinates.tolist()
    assert found == [list(key) for key in sorted(members)]
    for row, key in enumerate(sorted(members)):
        mine = features[members[key]]
        assert_close(voxels.tensor.features[row], mine.mean(dim=0) if reduce == "mean" else mine[0])
        assert (voxels.inverse[members[key]] == row).all()
    back = voxels.to_points(voxels.tensor.features)
    assert [len(part) for part in back.split(voxels.clouds.lengths)] == lengths
    assert torch.equal(back[7], voxels.tensor.features[voxels.inverse[7]])


def test_interpolation_is_trilinear_over_the_voxels_that_exist(clouds):
    points, features, lengths = clouds
    voxels = voxelise(points, features, SIZE, lengths)
    rows = voxels.tensor.features
    centres = {tuple(c): i for i, c in enumerate(voxels.tensor.level.coordinates.tolist())}
    found = voxels.interpolate(rows, points)
    for i, point in enumerate(points.double()):
        weights = {}
        for (b, *cell), row in centres.items():
            away = (point / SIZE - 0.5 - torch.tensor(cell)).abs()
            if b == (i >= lengths[0]) and away.max() < 1:
                weights[row] = (1 - away).prod()
        mean = sum(weight * rows[row] for row, weight in weights.items()) / sum(weights.values())
        assert_close(found[i], mean)
    first = voxelise(points[:50], features[:50], SIZE)
    centres = (first.tensor.level.coordinates[:, 1:] + 0.5) * SIZE
    assert_close(first.interpolate(first.tensor.features, centres, [len(centres)]), first.tensor.features)
    with pytest.raises(ValueError, match=r"70 points in clouds of \[70\], expected 2 clouds"):
        voxels.interpolate(rows, points, [70])


def test_gradients_reach_the_rows_of_voxels(clouds):
    points, features, lengths = clouds
    voxels = voxelise(points, features, SIZE, lengths)
    rows = voxels.tensor.features.requires_grad_()
    (found,) = torch.autograd.grad(voxels.to_points(rows).sum(), [rows])
    assert torch.equal(found[:, 0], voxels.inverse.bincount().double())
    assert torch.autograd.gradcheck(lambda r: voxels.interpolate(r, points).sum(dim=0), (rows,))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"points": torch.zeros(70, 2)}, r"points are \(70, 2\)"),
        ({"lengths": [50, 30]}, "clouds of 80 points together, got 70"),
        ({"lengths": [70, 0]}, "cloud 1 of the 2 of this batch has no points"),
        ({"size": 0}, "expected a size above 0"),
        ({"reduce": "max"}, "reduce 'max'"),
        ({"points": torch.full((70, 3), torch.nan)}, "70 of 70 points are not finite"),
        ({"points": torch.full((70, 3), 1e30)}, "move the scene to the origin, or take larger voxels"),
    ],
)
def test_points_that_do_not_fit_are_refused(clouds, change, message):
    points, features, lengths = clouds
    arguments = {"points": points, "features": features, "size": SIZE, "lengths": lengths} | change
    with pytest.raises(ValueError, match=message):
        voxelise(**arguments)


def test_a_point_far_from_all_voxels_has_no_features(clouds):
    points, features, lengths = clouds
    voxels = voxelise(points, features, SIZE, lengths)
    with pytest.raises(ValueError, match="1 of 70 points have no voxel around them"):
        voxels.interpolate(voxels.tensor.features, points + 99 * (torch.arange(70) == 3)[:, None])
