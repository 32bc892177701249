"""Predictions at points and their scores, beside those by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from datasets.scenes.scene import IGNORED, Scene
from utils.semseg.semseg_scores import class_table, count_rooms
from utils.semseg.voxel_rooms import room_probabilities

CPU = torch.device("cpu")


class ByColour(nn.Module):
    """Stands in for SR-UNet: a voxel's logits are its colour, ten times."""

    def forward(self, voxels):
        return voxels.with_features(10 * voxels.features)


class BySide(nn.Module):
    """Class 0 where x of the voxel is negative, else class 1."""

    def forward(self, voxels):
        x = voxels.level.coordinates[:, 1:2].float()
        return voxels.with_features(torch.cat([-x - 0.5, x + 0.5], dim=1) * 5)


def scene(points, classes, labels):
    colours = np.zeros((len(points), 3), np.uint8)
    colours[np.arange(len(points)), classes] = 255
    return Scene("room", np.array(points, np.float32), colours, np.array(labels, np.uint8))


# Voxels of 1 m around the middle of the room: two points share one; their mean colour decides for both.
ROOM = scene([(0, 0, 0), (0.2, 0, 0), (0.3, 0, 0), (4, 0, 0), (5, 0, 0)], [0, 0, 1, 2, 2], [0, 0, 1, 2, 0])
OTHER = scene([(0, 0, 0), (3, 0, 0)], [1, 1], [1, IGNORED])


def test_scores_are_those_of_the_points_of_all_rooms_together():
    found = count_rooms(lambda room: room_probabilities(ByColour(), room, 1.0, CPU), [ROOM, OTHER], 3).scores()
    # Predicted 0 0 0 2 2 and 1, true 0 0 1 2 0 and 1: IoU 2/4, 1/2, 1/2; recall 2/3, 1/2, 1.
    assert found.iou.tolist() == [2 / 4, 1 / 2, 1 / 2]
    assert found.miou == pytest.approx(1 / 2)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.macc == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert class_table(found, ["wall", "floor", "door"])[2].split() == ["floor", "0.5000", "0.5000"]


def test_probabilities_stand_at_the_points_in_their_order():
    found = room_probabilities(ByColour(), ROOM, 1.0, CPU)
    mean = torch.tensor([2 / 3, 1 / 3, 0]) * 10
    torch.testing.assert_close(found[:3], mean.softmax(0).expand(3, 3))
    torch.testing.assert_close(found[3:], torch.tensor([0.0, 0, 10]).softmax(0).expand(2, 3))


def test_votes_are_the_mean_over_copies_turned_evenly_about_the_vertical():
    single = room_probabilities(BySide(), ROOM, 1.0, CPU, votes=1)
    halves = room_probabilities(BySide(), ROOM, 1.0, CPU, votes=2)
    assert single[0, 0] > 0.9
    assert single[4, 1] > 0.9
    turned = room_probabilities(BySide(), ROOM._replace(points=-ROOM.points), 1.0, CPU)
    torch.testing.assert_close(halves, (single + turned) / 2)


def test_four_votes_see_the_room_from_four_sides():
    seen = []
    network = nn.Module()
    network.forward = lambda voxels: seen.append(voxels.level.coordinates) or voxels
    room_probabilities(network, scene([(-3.4, -1.4, 0), (3.4, 1.4, 0)], [0, 1], [0, 0]), 1.0, CPU, votes=4)
    cells = [{tuple(row) for row in coordinates[:, 1:3].tolist()} for coordinates in seen]
    assert cells == [{(-4, -2), (3, 1)}, {(1, -4), (-2, 3)}, {(3, 1), (-4, -2)}, {(-2, 3), (1, -4)}]


def test_a_network_that_has_diverged_is_refused_by_the_name_of_the_room():
    network = nn.Module()
    network.forward = lambda voxels: voxels.with_features(voxels.features / 0)
    with pytest.raises(ValueError, match="room: logits that are not finite"):
        room_probabilities(network, ROOM, 1.0, CPU)
