"""A step of a small sparse network on clouds of unequal numbers of voxels, for one process or two."""

import torch
from torch.nn.parallel import DistributedDataParallel

from models.distributed import convert_batch_norms, get_rank, get_world_size
from models.sparse.sparse_conv import DownConv, SparseConv, UpConv, VoxelNorm
from models.sparse.sparse_tensor import sparse_tensor
from tests.support.random_norms import randomise_norms

NUMBERS = (20, 55)  # voxels of the two clouds


class _Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = SparseConv(3, 4), VoxelNorm(4)
        self.down, self.coarse_norm, self.up = DownConv(4, 4), VoxelNorm(4), UpConv(4, 2)

    def forward(self, voxels, features):
        x = self.norm(self.conv(sparse_tensor(voxels, features)))
        return self.up(self.coarse_norm(self.down(x), relu=False), like=x).features


def sparse_step():
    """Return outputs of this process's cloud, of all where there is one process, and gradients and statistics."""
    torch.manual_seed(0)
    network = randomise_norms(_Network()).double().train()
    clouds = []
    for i, number in enumerate(NUMBERS):
        cells = torch.randperm(216)[:number]
        voxels = torch.stack([torch.full_like(cells, i), cells // 36, cells // 6 % 6, cells % 6], dim=1)
        clouds.append((voxels, torch.randn(number, 3, dtype=torch.float64) + 2 * i, torch.randn(number, 2).double()))
    world, module = get_world_size(), network
    if world > 1:
        convert_batch_norms(network)
        module = DistributedDataParallel(network)
        clouds = [clouds[get_rank()]]
        clouds[0][0][:, 0] = 0
    voxels, features, factors = map(torch.cat, zip(*clouds))
    out = module(voxels, features)
    factors = sparse_tensor(voxels, factors).features  # in the order of the outputs
    (world * (out * factors).sum() / sum(NUMBERS)).backward()
    found = {name: p.grad for name, p in network.named_parameters()} | dict(network.named_buffers())
    return out.detach(), found
