"""Rooms in tiles: every voxel once, and logits of the whole room where a network sees no further than the margin."""

import pytest
import torch
from torch import nn

from models.sparse.sparse_conv import SparseConv
from models.sparse.sparse_tensor import sparse_tensor
from utils.semseg.voxel_tiles import tiled_logits, tiles


def room(num=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(-6, 6, (num, 3), generator=generator)
    cells = torch.cat([torch.zeros(num, 1, dtype=torch.int64), cells], dim=1).unique(dim=0)
    return sparse_tensor(cells, torch.randn(len(cells), 3, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("most", [1, 7, 100])
def test_each_voxel_is_in_one_tile_and_none_is_larger_than_asked(most):
    coordinates = room().level.coordinates
    found = list(tiles(coordinates, most))
    assert torch.equal(torch.cat(found).sort().values, torch.arange(len(coordinates)))
    columns = coordinates[:, 1:3].unique(dim=0, return_counts=True)[1].max()
    assert max(map(len, found)) <= max(most, columns)  # a column of voxels is never cut


def test_logits_of_tiles_are_those_of_the_whole_room_within_the_margin():
    torch.manual_seed(0)
    network, voxels = nn.Sequential(SparseConv(3, 5), SparseConv(5, 4)).double(), room()
    with torch.inference_mode():
        whole, parts = network(voxels).features, tiled_logits(network, voxels, most=50, margin=2)
        blind, _ = tiled_logits(network, voxels, most=50, margin=0)
    assert parts[1] > 4
    torch.testing.assert_close(parts[0], whole, rtol=0, atol=1e-12)
    assert not torch.allclose(blind, whole)
