"""SR-UNet as the backbone of VoteNet."""

import pytest
import torch
from torch.testing import assert_close

from models.encoders.scenes.sr_unet import PLANS, Plan, SRUNet
from models.encoders.scenes.sr_unet_seeds import SRUNetSeeds
from models.layers.farthest_points import farthest_order
from models.sparse.sparse_tensor import sparse_tensor

TINY = Plan((1,) * 8, (8, 8, 8, 8, 8, 8, 8, 8))


@pytest.mark.parametrize("channels", [0, 3])
def test_seeds_are_the_farthest_points_with_the_features_of_their_voxels(monkeypatch, channels):
    monkeypatch.setitem(PLANS, "tiny", TINY)
    torch.manual_seed(0)
    seeds = SRUNetSeeds(SRUNet(max(channels, 1), 5, "tiny"), voxel_size=0.2, num_seeds=9, feature_dim=16).double()
    points = torch.rand(2, 40, 3 + channels, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        position, features, index = seeds.eval()(points)
        assert torch.equal(index, farthest_order(points[..., :3], 9))
        assert torch.equal(position, torch.take_along_dim(points[..., :3], index[..., None], dim=1))
        assert features.shape == (2, seeds.feature_dim, 9) == (2, 16, 9)
        for cloud, found, own in zip(points, features, index, strict=True):
            cells = (cloud[:, :3] / 0.2).floor().long()
            voxels, of_point = cells.unique(dim=0, return_inverse=True)
            given = cloud[:, 3:] if channels else torch.ones(40, 1, dtype=torch.float64)
            mean = torch.stack([given[of_point == number].mean(dim=0) for number in range(len(voxels))])
            x = sparse_tensor(torch.cat([torch.zeros(len(voxels), 1, dtype=torch.long), voxels], dim=1), mean)
            assert_close(found.t(), seeds.unet(x).features[of_point[own]])
