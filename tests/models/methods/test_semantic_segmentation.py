"""The loss of a semantic segmentation by voxels, and what its probes train."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.encoders.scenes.sr_unet import SRUNet
from models.methods import semantic_segmentation
from models.methods.semantic_segmentation import IGNORED, RoomSegmentation
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


@pytest.mark.parametrize(
    ("probe", "trained"),
    [
        ("linear", {"final"}),
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
        set() if probe == "linear" else {"block5", "block6", "block7", "block8"}
    )
    assert {name for name, part in network.named_children() if part.training} == free
    with pytest.raises(ValueError, match="probe 'all', expected one of none, linear, decoder"):
        RoomSegmentation(network, 0.1, "all")
    assert method.training
