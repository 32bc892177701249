"""Figures over blocks and predictions of whole rooms, beside loops over blocks and points."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from torch import nn

from datasets.scenes.room_blocks import FEWEST, BlockForm, block_channels, grid_blocks, placed
from datasets.scenes.scene import IGNORED, Scene
from utils.semseg.block_rooms import BlockRooms, block_probabilities, count_blocks

CPU = torch.device("cpu")


class Shown(nn.Module):
    """Two classes by the place in the block, and all that it was shown."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.tensor([[3.0, -2, 0, 1, 0, 0, 0, 0, 1]])), []

    def forward(self, blocks):
        self.seen.append(blocks)
        score = blocks @ self.weight.T
        return torch.cat([score, -score], dim=2)


def room(number, num_points, size=(2.3, 1.6, 1.1)):
    rng = np.random.default_rng(number)
    points = (rng.uniform(0, size, (num_points, 3)) + (70, -30, 5)).astype(np.float32)
    colours = rng.integers(0, 256, (num_points, 3)).astype(np.uint8)
    labels = rng.integers(0, 2, num_points).astype(np.uint8)
    labels[:5] = IGNORED
    return Scene(f"room_{number}", points, colours, labels)


def by_place(scene):
    """The number of each point by its share of the room, which the last three channels hold."""
    moved = placed(scene).points
    return {tuple(np.round(row, 5)): number for number, row in enumerate(moved / moved.max(axis=0))}


def shown_rows(network, scene):
    numbers = by_place(scene)
    return [
        [numbers[tuple(np.round(row, 5))] for row in block[:, 6:].numpy()] for seen in network.seen for block in seen
    ]


def test_every_block_with_enough_points_is_drawn_once_and_the_draws_are_counted():
    form, network = BlockForm(1.0, 1.0, 128), Shown()
    rooms = [room(0, 1100), room(1, 90)]  # the second has no block of enough points
    counts = count_blocks(network, rooms, 2, form, CPU).counts
    moved = placed(rooms[0])
    blocks = [block.rows for block in grid_blocks(moved.points, 1.0, 1.0) if len(block.rows) >= FEWEST]
    draws = shown_rows(network, rooms[0])
    assert len(draws) == len(blocks) > 3
    expected = np.zeros((2, 2), int)
    for rows, draw in zip(blocks, draws):
        assert set(draw) <= set(rows.tolist())
        assert len(set(draw)) == min(128, len(rows))
        channels = torch.from_numpy(block_channels(moved, moved.points.max(axis=0), np.array(draw), 1.0))
        for row, logits in zip(draw, network(channels[None])[0]):
            if rooms[0].labels[row] != IGNORED:
                expected[rooms[0].labels[row], int(logits.argmax())] += 1
    assert counts.tolist() == expected.tolist()
    again = BlockRooms(Shown(), {"block_size": 1.0, "block_stride": 1.0, "num_points": 128, "class_names": ["a", "b"]})
    assert again.count_blocks(rooms, CPU).counts.tolist() == counts.tolist()


@pytest.mark.parametrize("stride", [1.0, 0.5])
@pytest.mark.parametrize("votes", [1, 3])
def test_a_point_has_the_mean_probability_of_all_draws_that_hold_it(stride, votes):
    network, scene = Shown(), room(2, 310)
    found = block_probabilities(network, scene, BlockForm(1.0, stride, 32), CPU, votes=votes)
    drawn = defaultdict(list)
    for draw, block in zip(shown_rows(network, scene), torch.cat(network.seen)):
        for row, probabilities in zip(draw, network(block[None])[0].softmax(dim=1)):
            drawn[row].append(probabilities)
    assert sorted(drawn) == list(range(310))
    expected = torch.stack([torch.stack(drawn[row]).mean(dim=0) for row in range(310)])
    torch.testing.assert_close(found, expected)


def test_each_vote_moves_the_grid_on_and_draws_anew():
    networks, scene = [Shown(), Shown()], room(3, 310)
    for votes, network in enumerate(networks, start=1):
        block_probabilities(network, scene, BlockForm(1.0, 1.0, 512), CPU, votes=votes)
    single, double = ([set(draw) for draw in shown_rows(network, scene)] for network in networks)
    assert double[: len(single)] == single
    shifted = [set(block.rows.tolist()) for block in grid_blocks(placed(scene).points, 1.0, 1.0, -0.5)]
    assert double[len(single) :] == shifted
    assert shifted != single


def test_a_network_that_has_diverged_is_refused_by_the_name_of_the_room():
    network = Shown()
    nn.init.constant_(network.weight, torch.nan)
    with pytest.raises(ValueError, match="room_4: logits that are not finite"):
        block_probabilities(network, room(4, 50), BlockForm(1.0, 1.0, 32), CPU)


def test_classes_of_points_take_one_walk_over_the_grid_whose_blocks_are_counted(monkeypatch):
    walks = []

    def walked(*args):
        walks.append(list(grid_blocks(*args)))
        return iter(walks[-1])

    monkeypatch.setattr("utils.semseg.block_rooms.grid_blocks", walked)
    origin = {"block_size": 1.0, "block_stride": 0.5, "num_points": 32}
    scene = room(3, 310)
    labels, words = BlockRooms(Shown(), origin).classify(scene, CPU)
    assert len(walks) == 1
    assert words == f"{len(walks[0])} blocks"
    assert len(walks[0]) > 5
    expected = block_probabilities(Shown(), scene, BlockForm(1.0, 0.5, 32), CPU).argmax(dim=1)
    assert labels.tolist() == expected.tolist()
