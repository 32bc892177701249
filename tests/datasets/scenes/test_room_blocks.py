"""Blocks of rooms and their nine numbers a point, beside loops over blocks and points."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from datasets.scenes import room_blocks
from datasets.scenes.room_blocks import (
    FEWEST,
    BlockForm,
    TrainingBlocks,
    block_channels,
    covering_draws,
    draw_rows,
    grid_blocks,
    list_places,
    placed,
)
from datasets.scenes.scene import Scene
from utils.training.data_order import order_digest


def room(number, num_points, size=(2.3, 1.6, 1.1)):
    rng = np.random.default_rng(number)
    points = (rng.uniform(0, size, (num_points, 3)) + (70, -30, 5)).astype(np.float32)
    colours = rng.integers(0, 256, (num_points, 3)).astype(np.uint8)
    return Scene(f"room_{number}", points, colours, rng.integers(0, 13, num_points).astype(np.uint8))


def slow_blocks(points, size, stride):
    """Cut a room as indoor3d_util.py does: a comparison of every point with every block."""
    low = [min(float(point[axis]) for point in points) for axis in range(3)]
    places = [[float(point[axis]) - low[axis] for axis in range(3)] for point in points]
    numbers = [math.ceil((max(place[axis] for place in places) - size) / stride) + 1 for axis in range(2)]
    for i in range(numbers[0]):
        for j in range(numbers[1]):
            x, y = i * stride, j * stride
            rows = [n for n, p in enumerate(places) if x <= p[0] <= x + size and y <= p[1] <= y + size]
            if rows:
                yield (x, y), rows


def slow_channels(scene, rows, size):
    points = [[float(value) for value in point] for point in scene.points]
    low = [min(point[axis] for point in points) for axis in range(3)]
    most = [max(point[axis] - low[axis] for point in points) for axis in range(3)]
    found = [[points[row][axis] - low[axis] for axis in range(3)] for row in rows]
    first = [min(place[axis] for place in found) for axis in range(2)]
    return [
        [x - (first[0] + size / 2), y - (first[1] + size / 2), z]
        + [int(value) / 255 for value in scene.colours[row]]
        + [x / most[0], y / most[1], z / most[2]]
        for row, (x, y, z) in zip(rows, found)
    ]


@pytest.mark.parametrize(("size", "stride"), [(1.0, 1.0), (1.0, 0.5), (0.4, 0.3), (0.7, 0.7)])
def test_the_grid_is_that_of_a_comparison_of_every_point_with_every_block(size, stride):
    scene = room(0, 150)
    found = [(tuple(block.corner), block.rows.tolist()) for block in grid_blocks(placed(scene).points, size, stride)]
    expected = list(slow_blocks(scene.points, size, stride))
    assert [rows for _, rows in found] == [rows for _, rows in expected]
    assert_allclose([corner for corner, _ in found], [corner for corner, _ in expected])


def test_points_on_an_edge_belong_to_both_blocks_and_a_room_smaller_than_a_block_is_one():
    points = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.float32)
    assert [block.rows.tolist() for block in grid_blocks(points, 1.0, 1.0)] == [[0, 1], [1, 2]]
    assert [block.rows.tolist() for block in grid_blocks(points * 0.2, 1.0, 0.5)] == [[0, 1, 2]]


@pytest.mark.parametrize("start", [0.0, -0.25])
def test_every_point_lies_in_a_block(start):
    for number in range(20):
        points = placed(room(number, 60, (1.1 + number / 10, 3.3, 1))).points
        seen = np.concatenate([block.rows for block in grid_blocks(points, 0.3, 0.1, start)])
        assert set(seen.tolist()) == set(range(60))


def test_rounding_loses_no_point_at_the_far_end():
    assert 24 * 0.3 + 0.3 < 7.5  # where the last of 25 blocks of 0.3 m ends by rounding
    points = np.array([[0, 0, 0], [7.5, 7.5, 0]], np.float32)
    assert [block.rows.tolist() for block in grid_blocks(points, 0.3, 0.3)] == [[0], [1]]


def test_the_nine_numbers_are_those_of_the_published_preparation():
    scene, rows = room(1, 300), [7, 3, 120, 3, 44]
    moved = placed(scene)
    found = block_channels(moved, moved.points.max(axis=0), np.array(rows), 1.0)
    assert found.dtype == np.float32
    assert_allclose(found, slow_channels(scene, rows, 1.0), atol=2e-5)
    assert_allclose(found[:, :2].min(axis=0), -0.5, atol=1e-6)


def test_a_flat_room_has_no_height_and_a_room_at_the_origin_stays_as_it_is():
    points = np.array([[0, 0, 0], [2, 4, 0]], np.float32)
    flat = Scene("flat", points + np.float32(3), np.zeros((2, 3), np.uint8))
    moved = placed(flat)
    assert_allclose(moved.points, points)
    assert placed(moved) is moved
    assert_allclose(block_channels(moved, moved.points.max(axis=0), np.arange(2), 1.0)[:, 6:], [[0, 0, 0], [1, 1, 0]])


def test_points_are_drawn_once_where_there_are_enough_and_again_only_where_there_are_fewer():
    rng, rows = np.random.default_rng(0), np.arange(5, 16)
    few = draw_rows(rows, 7, rng)
    assert len(set(few.tolist())) == 7
    many = draw_rows(rows, 17, rng)
    assert set(many.tolist()) == set(rows.tolist())
    assert len(many) == 17


@pytest.mark.parametrize(("num_rows", "num_points", "expected"), [(11, 4, 3), (8, 4, 2), (3, 4, 1)])
def test_draws_of_a_block_go_on_until_each_point_was_drawn(num_rows, num_points, expected):
    draws = list(covering_draws(np.arange(num_rows), num_points, np.random.default_rng(0)))
    assert [len(rows) for rows in draws] == [num_points] * expected
    assert set(np.concatenate(draws).tolist()) == set(range(num_rows))


FORM = BlockForm(1.0, 1.0, 64)
ROOMS = [room(2, 1500), room(3, 700, (1.5, 1, 1)), room(4, 30)]


def blocks(rooms=ROOMS, seed=3, form=FORM):
    return TrainingBlocks(rooms, Path("root"), seed=seed, form=form)


def test_an_epoch_draws_every_place_of_the_rooms_once_moved_by_half_a_step_at_most():
    draws = blocks()
    expected = list_places([placed(scene) for scene in ROOMS], Path("root"), FORM._replace(stride=0.5))
    assert sorted((number, *corner) for number, corner in draws.places) == [(n, *corner) for n, corner in expected]
    assert {number for number, _ in draws.places} == {0, 1}  # the last room has too few points
    assert len(draws) == len(expected)
    for number, (index, corner) in enumerate(draws.places):
        item, extent = draws[number], draws.extents[index]
        assert item["index"] == index
        assert (item["points"].shape, item["points"].dtype, item["label"].dtype) == (
            (64, 9),
            torch.float32,
            torch.int64,
        )
        places = item["points"][:, 6:8].numpy() * extent[:2]
        assert (places >= corner - 0.25 - 1e-5).all()
        assert (places <= corner + 1.25 + 1e-5).all()


def test_a_block_of_a_training_holds_the_points_of_a_comparison_with_all():
    draws, corner = blocks(), np.array([0.7, 0.3])
    points = draws.rooms[0].points
    is_inside = (points[:, :2] >= corner).all(axis=1) & (points[:, :2] <= corner + 1).all(axis=1)
    assert sorted(draws._rows(0, corner)) == np.flatnonzero(is_inside).tolist()
    assert 100 < is_inside.sum() < 1000
    lattice = np.stack([*np.meshgrid([0, 1, 2], [0, 1, 2], [0] * 30)], axis=-1).reshape(-1, 3).astype(np.float32)
    draws = blocks([Scene("lattice", lattice, np.zeros((270, 3), np.uint8), np.zeros(270, np.uint8))])
    assert set(map(tuple, lattice[draws._rows(0, np.array([1.0, 0.0]))])) == {
        (1, 0, 0),
        (2, 0, 0),
        (1, 1, 0),
        (2, 1, 0),
    }


def test_labels_stand_at_their_points():
    draws, item = blocks(), blocks()[1]
    scene, extent = draws.rooms[item["index"]], draws.extents[item["index"]]
    shares = {tuple(np.round(share, 5)): label for share, label in zip(scene.points / extent, scene.labels)}
    assert [shares[tuple(np.round(row, 5))] for row in item["points"][:, 6:].numpy()] == item["label"].tolist()


def test_a_draw_depends_on_seed_and_epoch_alone_and_places_take_turns():
    draws = blocks()
    first = draws[2]["points"]
    assert torch.equal(first, blocks()[2]["points"])
    draws.set_epoch(1)
    assert not torch.equal(first, draws[2]["points"])
    assert [tuple(c) for _, c in blocks(seed=4).places] != [tuple(c) for _, c in draws.places]
    draws.length, seen = 4, []
    for epoch in range(len(draws.places)):
        draws.set_epoch(epoch)
        seen += [draws[number]["index"] for number in range(4)]
    assert seen == [index for index, _ in draws.places] * 4
    assert order_digest(blocks()) != order_digest(blocks([ROOMS[0], ROOMS[2], ROOMS[1]]))


def test_a_moved_block_with_too_few_points_gives_way_to_that_of_the_grid():
    """The one block has just enough points; moved, it lacks the first or some of the others."""
    rng = np.random.default_rng(0)
    points = np.concatenate([[[0, 0, 0]], rng.uniform(0.9, 1, (FEWEST - 1, 3))]).astype(np.float32)
    scene = Scene("corner", points, np.zeros((FEWEST, 3), np.uint8), np.ones(FEWEST, np.uint8))
    draws = blocks([scene], form=BlockForm(1.0, 1.0, FEWEST))
    for epoch in range(9):
        draws.set_epoch(epoch)
        assert len(draws[0]["points"].unique(dim=0)) == FEWEST


def test_rooms_without_a_block_of_enough_points_are_refused():
    with pytest.raises(ValueError, match="root: none of 1 rooms has 100 points in a block of 1 m; rooms are taken"):
        blocks([ROOMS[2]])


def test_strips_without_points_are_not_walked(monkeypatch):
    walks = []

    def walked(*args):
        walks.append(args)
        return intervals(*args)

    intervals = room_blocks._intervals
    monkeypatch.setattr(room_blocks, "_intervals", walked)
    points = np.array([(0, 0, 0), (90.5, 60.5, 0)], np.float32)  # two strips of 91 have a point
    assert [block.rows.tolist() for block in grid_blocks(points, 1.0, 1.0)] == [[0], [1]]
    assert len(walks) == 3
