"""Sparse convolutions against dense ones on full grids, and against a loop over voxels on sparse ones."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.sparse import kernel_map
from models.sparse.kernel_map import cube_offsets
from models.sparse.sparse_conv import DownConv, SparseConv, UpConv
from models.sparse.sparse_tensor import sparse_tensor
from models.sparse.voxel_keys import LIMIT, MAX_CLOUDS, pack, step, unpack
from models.sparse.voxel_level import make_level

EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let small grids have frequent and rare patterns, and several blocks of each."""
    monkeypatch.setitem(kernel_map.ROWS, "cpu", 32)


def grid(num_clouds, *sides):
    """All voxels of a box that begins at negative coordinates. Shape: (B * X * Y * Z, 4)."""
    ranges = [torch.arange(num_clouds), *(torch.arange(-2, side - 2) for side in sides)]
    return torch.cartesian_prod(*ranges)


def random_voxels(num_clouds=3, side=5, share=0.3):
    """A part of a grid in any order, with one voxel far from all others."""
    torch.manual_seed(0)
    voxels = grid(num_clouds, side, side, side)
    voxels = voxels[torch.rand(len(voxels)) < share]
    return torch.cat([voxels, torch.tensor([[1, 50, -50, 50]])])[torch.randperm(len(voxels) + 1)]


def make(coordinates, channels=2, dtype=torch.float64):
    features = torch.randn(len(coordinates), channels, dtype=dtype, requires_grad=True)
    return sparse_tensor(coordinates, features), features


def dense_weight(kernel, size):
    """Kernel (K, C, D), x fastest, as a weight (D, C, x, y, z) of conv3d."""
    return kernel.view(size, size, size, *kernel.shape[1:]).permute(4, 3, 2, 1, 0)


def check_same(ours, theirs, inputs):
    """Compare outputs and the gradients of a sum with random factors."""
    assert_close(ours, theirs, **EXACT)
    factors = torch.randn_like(ours)
    found, expected = (torch.autograd.grad((out * factors).sum(), inputs, retain_graph=True) for out in (ours, theirs))
    for mine, wanted in zip(found, expected, strict=True):
        assert wanted.abs().max() > 0.1
        assert_close(mine, wanted, **EXACT)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_on_a_full_grid_it_is_conv3d(size):
    x, features = make(grid(2, 5, 4, 6))
    conv = SparseConv(2, 3, size, bias=True).double()
    kernel = conv.kernel.view(-1, 2, 3)
    volume = features.view(2, 5, 4, 6, 2).movedim(-1, 1)
    dense = F.conv3d(volume, dense_weight(kernel, size), conv.bias[0], padding=size // 2)
    check_same(conv(x).features, dense.movedim(1, -1).flatten(0, 3), [features, conv.kernel, conv.bias])


def test_on_a_full_grid_strided_and_transposed_ones_are_those_of_torch():
    x, features = make(grid(2, 4, 6, 4))
    down, up = DownConv(2, 3, bias=True).double(), UpConv(3, 4, bias=True).double()
    coarse = down(x)
    fine = up(coarse, like=x)
    volume = features.view(2, 4, 6, 4, 2).movedim(-1, 1)
    dense = F.conv3d(volume, dense_weight(down.kernel, 2), down.bias[0], stride=2)
    weight = dense_weight(up.kernel, 2).transpose(0, 1)  # conv_transpose3d takes (C, D, x, y, z)
    dense_fine = F.conv_transpose3d(dense, weight, up.bias[0], stride=2)
    check_same(coarse.features, dense.movedim(1, -1).flatten(0, 3), [features, down.kernel, down.bias])
    check_same(fine.features, dense_fine.movedim(1, -1).flatten(0, 3), [features, down.kernel, up.kernel, up.bias])
    assert coarse.level.coordinates.tolist() == grid(2, 2, 3, 2).add(torch.tensor([0, 1, 1, 1])).tolist()


def by_loop(x, kernel, outputs, place_of):
    """Sum over the voxels that an output reads; `place_of(output, voxel)` is the offset, None if not read."""
    voxels = x.level.coordinates.tolist()
    rows = []
    for output in outputs.tolist():
        places = [(j, place_of(output, voxel)) for j, voxel in enumerate(voxels) if voxel[0] == output[0]]
        rows.append(sum(x.features[j] @ kernel[k] for j, k in places if k is not None))
    return torch.stack(rows)


def offset_index(size):
    offsets = cube_offsets(size)
    return lambda output, voxel: next(
        iter(k for k, o in enumerate(offsets) if [a + d for a, d in zip(output[1:], o)] == voxel[1:]), None
    )


def doubled(voxel):
    return [voxel[0], *(2 * axis for axis in voxel[1:])]


def test_on_sparse_grids_of_several_clouds_they_are_a_loop_over_voxels():
    x, features = make(random_voxels())
    conv, down, up = SparseConv(2, 3).double(), DownConv(2, 3).double(), UpConv(3, 2).double()
    expected = by_loop(x, conv.kernel, x.level.coordinates, offset_index(3))
    check_same(conv(x).features, expected, [features, conv.kernel])
    has_absent = [(block.index == len(x.level)).any().item() for block in x.level.neighbours(3).forward.blocks]
    assert set(has_absent) == {True, False}  # rare patterns and frequent ones

    coarse = down(x)
    halved = offset_index(2)
    expected = by_loop(x, down.kernel, coarse.level.coordinates, lambda o, v: halved(doubled(o), v))
    check_same(coarse.features, expected, [features, down.kernel])
    assert len(coarse.level) < len(x.level)

    fine = up(coarse, like=x)
    expected = by_loop(coarse, up.kernel, x.level.coordinates, lambda o, v: halved(doubled(v), o))
    check_same(fine.features, expected, [features, down.kernel, up.kernel])


def test_gradients_are_those_of_finite_differences():
    x, _ = make(random_voxels(2, 3))
    conv, down, up = SparseConv(2, 2, bias=True).double(), DownConv(2, 2).double(), UpConv(2, 1).double()

    def network(rows, *_):
        return up(down(conv(x.with_features(rows))), like=x).features

    assert torch.autograd.gradcheck(network, (x.features.detach().requires_grad_(), *conv.parameters()))


def test_a_voxel_without_neighbours_meets_the_centre_alone():
    x, _ = make(torch.tensor([[0, 9, 9, 9]]))
    conv = SparseConv(2, 3).double()
    assert_close(conv(x).features, x.features @ conv.kernel[13])


def test_only_the_gradients_that_are_needed_are_computed():
    x, features = make(random_voxels())
    conv = SparseConv(2, 3).double()
    out = conv(x.with_features(x.features.detach())).features.sum()
    (alone,) = torch.autograd.grad(out, [conv.kernel])
    both = torch.autograd.grad(conv(x).features.sum(), [conv.kernel, features], retain_graph=True)
    assert_close(alone, both[0])
    conv.kernel.requires_grad_(False)
    assert_close(torch.autograd.grad(conv(x).features.sum(), [features])[0], both[1])


@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_lower_precisions_are_close_and_under_autocast_too(dtype, error):
    x, features = make(random_voxels(), channels=16)
    conv = SparseConv(16, 16).double()
    out = conv(x).features
    exact = torch.autograd.grad(out.square().sum(), [features, conv.kernel])

    def deviation(a, b):
        return (a.double() - b).norm() / b.norm()

    low = features.detach().to(dtype).requires_grad_()
    conv.to(dtype)
    found = conv(sparse_tensor(x.level.coordinates, sorted_rows(x, low))).features
    assert found.dtype == dtype
    assert deviation(found, out) < error
    for mine, wanted in zip(torch.autograd.grad(found.square().sum(), [low, conv.kernel]), exact, strict=True):
        assert mine.dtype == dtype
        assert deviation(mine, wanted) < 3 * error
    conv.float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = conv(x.with_features(x.features.float())).features
    assert mixed.dtype == torch.bfloat16
    assert deviation(mixed, out) < 1e-2
    assert torch.autograd.grad(mixed.sum(), [conv.kernel])[0].dtype == torch.float32


def sorted_rows(x, rows):
    """Rows that `make` was given, in the order of the level: make's rows are those of random_voxels()."""
    return rows[make_level(random_voxels())[1]]


def test_maps_are_made_once_and_results_are_equal_bit_by_bit():
    x, _ = make(random_voxels())
    conv, down, up = SparseConv(2, 3).double(), DownConv(3, 3).double(), UpConv(3, 3).double()

    def network(y):
        inner = conv(y)
        return up(down(inner), like=inner).features

    first = network(x)
    maps = x.level.neighbours(3), x.level.coarser
    assert torch.equal(network(x), first)
    assert x.level.neighbours(3) is maps[0]
    assert x.level.coarser is maps[1]
    again, _ = make_level(x.level.coordinates.flip(0))
    assert torch.equal(network(type(x)(x.features, again)), first)


def test_keys_hold_coordinates_to_their_limits():
    far = torch.tensor([[0, -LIMIT, LIMIT, -LIMIT], [MAX_CLOUDS - 1, LIMIT, -LIMIT, LIMIT]], dtype=torch.int32)
    keys = pack(far)
    assert torch.equal(unpack(keys), far.long())
    assert keys.diff() > 0
    for offset in ((-5, 5, -5), (5, -5, 5)):
        assert torch.equal(unpack(keys + step(*offset)), far + torch.tensor([0, *offset]))


@pytest.mark.parametrize(
    "voxels, message",
    [
        ([[0, 1, 2, 3], [0, 4, 5, 6], [0, 1, 2, 3]], r"1 of 3 voxels are given twice, first .* = \[0, 1, 2, 3\]"),
        ([[0, 0, 0, LIMIT + 1]], "expected -65500 to 65500: move the scene to the origin, or take larger voxels"),
        (
            [[0, 0, 9, -LIMIT], [0, 0, 0, LIMIT + 1]],
            "expected -65500 to 65500: they extend over 131002 voxels, 131001 are possible: remove stray points",
        ),
        ([[-1, 0, 0, 0]], "batch indices run from -1 to -1"),
        ([[0, 0, 0, 0], [2, 0, 0, 0]], "cloud 1 of the 3 of this batch has no voxel"),
        ([[0, 0, 0]], r"expected \(M, 4\) integers"),
        ([[0.0, 0.0, 0.0, 0.0]], r"expected \(M, 4\) integers"),
    ],
)
def test_voxels_that_are_none_are_refused(voxels, message):
    with pytest.raises(ValueError, match=message):
        make_level(torch.tensor(voxels))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="no voxels"):
        make_level(torch.zeros(0, 4, dtype=torch.long))
    x, _ = make(random_voxels())
    with pytest.raises(ValueError, match="expected a row for each of 2 voxels"):
        sparse_tensor(torch.zeros(2, 4, dtype=torch.long), x.features)
    with pytest.raises(ValueError, match="kernel of size 4, expected 3, 5, 7 or 9"):
        x.level.neighbours(4)
    with pytest.raises(ValueError, match="voxels that were not made from"):
        UpConv(2, 2).double()(x, like=x)
