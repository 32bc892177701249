"""The losses of a semantic segmentation by voxels and by blocks, and what probes train."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.encoders.scenes.sr_unet import SRUNet
from models.losses.smoothed_ce import smoothed_cross_entropy
from models.methods import semantic_segmentation
from models.methods.semantic_segmentation import IGNORED, BlockSegmentation, RoomSegmentation
from models.sparse.voxelise import voxelise
from tests.support.tiny_rooms import tiny_plan


class Pointwise(nn.Module):
    """Stands in for SR-UNet: a linear map of each voxel."""

    def __init__(self):
        super().__init__()
        self.final = nn.Linear(3, 4, dtype=torch.float64)

    def forward(self, voxels):
        return voxels.with_features(self.final(voxels.features))


# Voxels of 1 m: two points of class 1; points of classes 2 and 0; a point without a class; one of class 3.
POINTS = torch.tensor([[0.1, 0, 0], [0.9, 0, 0], [1.5, 0, 0], [1.6, 0, 0], [2.5, 0, 0], [3.5, 0, 0]])
LABELS = torch.tensor([1, 1, 2, 0, IGNORED, 3])
COLOURS = torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def batch(rows):
    return {"points": POINTS[rows], "colours": COLOURS[rows], "label": LABELS[rows], "lengths": [len(rows)]}


def test_only_voxels_of_one_label_count_each_once_with_its_mean_colour():
    network = Pointwise()
    mean = torch.stack([COLOURS[:2].mean(dim=0), COLOURS[5]])
    expected = F.cross_entropy(network.final(mean), torch.tensor([1, 3]))
    (found,) = RoomSegmentation(network, 1.0)(batch(torch.arange(6))).values()
    torch.testing.assert_close(found, expected)


def test_a_batch_without_a_labelled_voxel_has_no_loss():
    (found,) = RoomSegmentation(Pointwise(), 1.0)(batch(torch.tensor([2, 3, 4]))).values()
    found.backward()
    assert found == 0


def test_processes_with_other_numbers_of_voxels_together_have_the_loss_of_one(monkeypatch):
    method, far = RoomSegmentation(Pointwise(), 0.3), torch.arange(6)
    (whole,) = method(batch(far)).values()  # over three voxels
    monkeypatch.setattr(semantic_segmentation, "get_world_size", lambda: 2)
    monkeypatch.setattr(semantic_segmentation, "all_reduce_sum", lambda count: torch.full_like(count, 3))
    shares = [method(batch(rows))["loss/class"] for rows in (far[:1], far[1:])]
    torch.testing.assert_close(sum(shares) / 2, whole)


BLOCKS = {
    "points": torch.rand(2, 3, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    "label": torch.tensor([[1, IGNORED, 0], [3, 3, IGNORED]]),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_blocks_is_the_mean_over_points_with_a_label(smoothing):
    network = nn.Linear(9, 4, dtype=torch.float64)
    is_labelled = BLOCKS["label"] != IGNORED
    expected = smoothed_cross_entropy(network(BLOCKS["points"])[is_labelled], BLOCKS["label"][is_labelled], smoothing)
    (found,) = BlockSegmentation(network, smoothing)(BLOCKS).values()
    torch.testing.assert_close(found, expected)
    (found,) = BlockSegmentation(network)(BLOCKS | {"label": torch.full((2, 3), IGNORED)}).values()
    assert found == 0


@pytest.mark.parametrize(
    ("probe", "trained"),
    [
        ("linear", {"final"}),
        ("linear_bn", {"final"}),
        ("decoder", {"final", *(f"{kind}{stage}" for stage in range(4, 8) for kind in ("bntr", "up"))}),
    ],
)
def test_a_probe_trains_what_lies_behind_and_keeps_the_statistics_of_the_rest(probe, trained):
    with tiny_plan():
        network = SRUNet(plan="14A")
    method = RoomSegmentation(network, 0.1, probe).train()
    free = {name for name, part in network.named_children() if all(p.requires_grad for p in part.parameters())}
    ups = {f"convtr{stage}p{2 ** (8 - stage)}s2": f"up{stage}" for stage in range(4, 8)}
    assert {ups.get(name, name) for name in free if not name.startswith("block")} == trained
    assert {name for name in free if name.startswith("block")} == (
        set() if probe.startswith("linear") else {"block5", "block6", "block7", "block8"}
    )
    assert {name for name, part in network.named_children() if part.training} == free
    with pytest.raises(ValueError, match="probe 'all', expected one of none, linear, linear_bn, decoder"):
        RoomSegmentation(network, 0.1, "all")
    assert method.training


def shifted_network():
    """Return an SR-UNet in eval mode whose features are far from standardised."""
    torch.manual_seed(3)
    with tiny_plan():
        network = SRUNet(plan="14A").double()
    for part in network.block8.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.fill_(-3)
            part.running_var.fill_(0.01)
    return network


def test_a_probe_on_standardised_features_does_not_see_their_scale():
    losses = []
    for scale in (1.0, 1e3):
        network = shifted_network()
        features = network.features
        network.features = lambda x, scale=scale, features=features: features(x)._replace(
            voxels=x.with_features(scale * features(x).voxels.features)
        )
        losses.append(
            RoomSegmentation(network, 0.1, "linear_bn").double().train()(batch(torch.arange(6)))["loss/class"]
        )
    torch.testing.assert_close(losses[0], losses[1], atol=1e-3, rtol=0)  # eps of BatchNorm


def test_the_network_of_such_a_probe_standardises_by_itself():
    method = RoomSegmentation(shifted_network(), 0.1, "linear_bn").double().train()
    for _ in range(5):
        method(batch(torch.arange(6)))
    assert method.norm.bn.running_mean.abs().max() > 1
    method.eval()
    voxels = voxelise(POINTS, COLOURS, 0.1).tensor
    seen = method.norm.bn
    features = method.network.features(voxels).voxels.features
    expected = method.network.final(
        voxels.with_features((features - seen.running_mean) / (seen.running_var + seen.eps).sqrt())
    )
    trained = method.trained_network()
    torch.testing.assert_close(trained(voxels).features, expected.features)
    assert trained is not method.network
    assert {name for name, weight in method.named_parameters() if weight.requires_grad} == {
        "network.final.kernel",
        "network.final.bias",
    }
