"""SR-UNet against a dense network of the same weights, and its files."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.encoders.scenes.sr_unet import PLANS, Plan, SRUNet, global_feature
from models.sparse.sparse_tensor import sparse_tensor
from models.weights.sr_unet_file import hybrid_offsets, load_sr_unet
from tests.support.random_norms import randomise_norms


@pytest.fixture(scope="module")
def tiny():
    """A narrow network in eval mode and float64, whose plan files may have, too."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLANS, "tiny", Plan((1, 2, 1, 1, 1, 1, 1, 1), (8, 8, 16, 16, 16, 8, 8, 8)))
        yield randomise_norms(SRUNet(3, 5, "tiny")).double().eval()


def dense(x, kernel, size, **flags):
    weight = kernel.view(size, size, size, *kernel.shape[-2:]).permute(4, 3, 2, 1, 0)
    return F.conv3d(x, weight, padding=size // 2 if size % 2 else 0, **flags)


def norm(x, bn):
    return F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias)


def dense_block(block, x):
    out = norm(dense(x, block.conv1.kernel, 3), block.norm1.bn).relu()
    out = norm(dense(out, block.conv2.kernel, 3), block.norm2.bn)
    if block.downsample is not None:
        x = norm(dense(x, block.downsample[0].kernel, 1), block.downsample[1].bn)
    return (out + x).relu()


def dense_network(net, x):
    """What SR-UNet is where all voxels exist, written from PointContrast's res16unet.py. Shape: (B, C, X, Y, Z)."""
    out = norm(dense(x, net.conv0p1s1.kernel, 3), net.bn0.bn).relu()
    skips = []
    downs = ((net.conv1p1s2, net.bn1), (net.conv2p2s2, net.bn2), (net.conv3p4s2, net.bn3), (net.conv4p8s2, net.bn4))
    for (conv, bn), blocks in zip(downs, (net.block1, net.block2, net.block3, net.block4), strict=True):
        skips.append(out)
        out = norm(dense(out, conv.kernel, 2, stride=2), bn.bn).relu()
        for block in blocks:
            out = dense_block(block, out)
    ups = ((net.convtr4p16s2, net.bntr4), (net.convtr5p8s2, net.bntr5), (net.convtr6p4s2, net.bntr6))
    ups += ((net.convtr7p2s2, net.bntr7),)
    for (conv, bn), blocks in zip(ups, (net.block5, net.block6, net.block7, net.block8), strict=True):
        weight = conv.kernel.view(2, 2, 2, *conv.kernel.shape[1:]).permute(3, 4, 2, 1, 0)
        out = norm(F.conv_transpose3d(out, weight, stride=2), bn.bn).relu()
        out = torch.cat([out, skips.pop()], dim=1)
        for block in blocks:
            out = dense_block(block, out)
    return dense(out, net.final.kernel, 1) + net.final.bias.view(1, -1, 1, 1, 1)


def test_on_a_full_grid_it_is_a_dense_network():
    torch.manual_seed(0)
    network, side = randomise_norms(SRUNet(3, 5, "14A")).double().eval(), 16
    ranges = torch.arange(side)
    voxels = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), ranges, ranges, ranges)
    x = sparse_tensor(voxels, torch.randn(side**3, 3, dtype=torch.float64))
    with torch.inference_mode():
        expected = dense_network(network, x.features.t().view(1, 3, side, side, side))
        found = network(x).features
    assert found.std() > 1e-2
    assert_close(found, expected[0].flatten(1).t(), rtol=1e-9, atol=1e-9)


def random_cloud(seed, number=150, side=24):
    """Voxels (M, 3) of a box, all distinct, and features of them."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(side**3, generator=generator)[:number]
    voxels = torch.stack([cells // side**2, cells // side % side, cells % side], dim=1) - 7
    return voxels, torch.randn(number, 3, dtype=torch.float64, generator=generator)


def batch_of(*clouds):
    voxels = [torch.cat([torch.full((len(v), 1), i), v], dim=1) for i, (v, _) in enumerate(clouds)]
    return torch.cat(voxels), torch.cat([features for _, features in clouds])


def test_features_depend_on_neither_the_order_of_voxels_nor_other_clouds(tiny):
    first, second = random_cloud(1), random_cloud(2, 90)
    voxels, features = batch_of(first, second)
    order = torch.randperm(len(voxels), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both = tiny.features(sparse_tensor(voxels, features))
        mixed = tiny.features(sparse_tensor(voxels[order], features[order]))
        alone = [tiny.features(sparse_tensor(*batch_of(cloud))) for cloud in (first, second)]
    assert torch.equal(mixed.voxels.level.coordinates, both.voxels.level.coordinates)
    assert_close(mixed.voxels.features, both.voxels.features, rtol=0, atol=0)
    assert both.voxels.features.shape == (240, tiny.point_dim) == (240, 8)
    for level in ("voxels", "bottleneck"):
        found = torch.cat([getattr(part, level).features for part in alone])
        assert_close(getattr(both, level).features, found, rtol=1e-9, atol=1e-9)
    pooled = global_feature(both.bottleneck)
    assert pooled.shape == (2, tiny.feature_dim)
    rows = alone[1].bottleneck.features
    assert_close(pooled[1], torch.cat([rows.mean(dim=0), rows.amax(dim=0)]))


def test_numbers_of_parameters_are_those_of_the_published_networks():
    """34C has 37.85 million at 3 channels and 20 classes, in 374 tensors with the buffers."""
    with torch.device("meta"):
        numbers = {(plan, size): SRUNet(3, 20, plan, size) for plan in ("14A", "18A", "34C") for size in (3, 5)}
    counts = {key: sum(p.numel() for p in net.parameters()) for key, net in numbers.items()}
    assert counts == {
        ("14A", 3): 8_015_092,
        ("14A", 5): 8_024_500,
        ("18A", 3): 15_483_764,
        ("18A", 5): 15_493_172,
        ("34C", 3): 37_846_644,
        ("34C", 5): 37_856_052,
    }
    assert len(numbers["34C", 3].state_dict()) == 374
    with pytest.raises(ValueError, match="plan 50 and conv1_size 3, expected one of 14A, 18A, 34C"):
        SRUNet(plan="50")


@pytest.fixture(scope="module")
def stored(tiny, tmp_path_factory):
    """A file of the network as PointContrast's code writes it: offsets of the blocks centre first."""
    place = torch.tensor([(x + 1) + 3 * (y + 1) + 9 * (z + 1) for x, y, z in hybrid_offsets()])
    state = tiny.float().state_dict()
    for key in state:
        if key.startswith("block") and key.endswith(("conv1.kernel", "conv2.kernel")):
            state[key] = state[key][place]
    path = tmp_path_factory.mktemp("weights") / "nce.pth"
    torch.save({"state_dict": state, "epoch": 1}, path)
    tiny.double()
    return path


def test_a_file_of_pointcontrast_gives_the_same_network(tiny, stored):
    network = load_sr_unet(stored, blocks="hybrid")
    assert network.training
    for (key, found), (name, expected) in zip(network.state_dict().items(), tiny.state_dict().items(), strict=True):
        assert key == name
        assert_close(found, expected.to(found.dtype), rtol=0, atol=0)
    other = load_sr_unet(stored, blocks="cube").state_dict()
    assert not torch.equal(other["block1.0.conv1.kernel"], network.block1[0].conv1.kernel)
    assert torch.equal(other["conv1p1s2.kernel"], network.conv1p1s2.kernel)


def test_the_offsets_of_a_hybrid_kernel_are_those_of_minkowski_engine():
    """The first nine, worked out by hand from MinkowskiEngine 0.4.3's Common.py, and all of a cube after them."""
    offsets = hybrid_offsets()
    assert [o[:2] for o in offsets[:9]] == [
        *((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)),
        *((-1, -1), (-1, 1), (1, -1), (1, 1)),
    ]
    assert offsets[9:13] == [(0, 0, -1), (0, 0, 1), (-1, 0, -1), (-1, 0, 1)]
    assert {o[2] for o in offsets[:9]} == {0}
    assert len(set(offsets)) == 27


def without(*names):
    return lambda state: {key: value for key, value in state.items() if key not in names}


@pytest.mark.parametrize(
    "change, message",
    [
        (without("bn2.bn.bias"), "1 tensors missing, 0 unexpected, 0 of another shape.* missing: bn2.bn.bias"),
        (lambda state: state | {"head.weight": torch.ones(1)}, "unexpected: head.weight"),
        (lambda state: state | {"block1.0.conv2.kernel": torch.ones(8, 32, 32)}, "another shape: block1.0.conv2"),
        (lambda state: state | {"bn1.bn.bias": torch.full((32,), torch.nan)}, "bn1.bn.bias holds NaN"),
        (without("final.kernel"), "no SR-UNet: expected conv0p1s1.kernel"),
        (without("block4.0.conv1.kernel"), r"an SR-UNet of \(1, 2, 1, 0, 1, 1, 1, 1\) blocks: 14A has"),
        (lambda state: state | {"conv0p1s1.kernel": torch.ones(8, 3, 32)}, "has 8 offsets, expected 27 or 125"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_keys(stored, tmp_path, change, message):
    state = torch.load(stored, weights_only=True)["state_dict"]
    torch.save(change(state), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=f"other.pth: .*{message}"):
        load_sr_unet(tmp_path / "other.pth", blocks="hybrid")


def test_the_order_of_offsets_is_asked_for(stored):
    with pytest.raises(ValueError, match="blocks='x', expected one of hybrid, cube: the file does not say it"):
        load_sr_unet(stored, blocks="x")
