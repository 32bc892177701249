"""Rooms: nothing overlaps, nothing floats, nothing leaves the walls, no camera is in a thing; the sensor's errors."""

import itertools

import numpy as np
import pytest

from data.procedural.dice import Dice
from data.procedural.programs.pieces import Piece
from data.procedural.rooms.camera_path import camera_path
from data.procedural.rooms.depth_sensor import RANGE_M, axial_noise, sense_depth
from data.procedural.rooms.furnishing import Room, make_room, room_rng
from data.procedural.rooms.layout import Layout
from data.procedural.rooms.room_classes import KINDS, s3dis_label, sunrgbd_label
from data.procedural.rooms.things import thing
from data.procedural.solids import box
from datasets.scenes.scene_classes import SCANNET_NYU40

SHELL = 6  # floor, ceiling, walls: the first things of a room


@pytest.fixture(scope="module")
def rooms():
    return [make_room(3, index) for index in range(4)]


def test_boxes_of_things_do_not_overlap_and_lie_within_the_walls(rooms):
    for room in rooms:
        things = room.things[SHELL:]
        for one in things:
            assert (one.low > -1e-9).all(), one.kind
            assert (one.high < room.size + 1e-9).all(), one.kind
        for one, other in itertools.combinations(things, 2):
            apart = (one.low >= other.high - 1e-9) | (other.low >= one.high - 1e-9)
            assert apart.any(), (one.kind, other.kind)


def test_things_stand_on_the_floor_or_on_others_or_hang(rooms):
    on_walls = {"window", "picture", "whiteboard", "curtain"}
    for room in rooms:
        for one in room.things[SHELL:]:
            middle = (one.low + one.high) / 2
            below = [
                other
                for other in room.things[SHELL:]
                if 0 < one.low[2] - other.high[2] < 0.01
                and (other.low < middle)[:2].all()
                and (middle < other.high)[:2].all()
            ]
            on_floor = abs(one.low[2]) < 1e-9
            at_wall = one.kind in on_walls and min(*one.low[:2], *(room.size - one.high)[:2]) < 0.01
            hangs = one.kind == "lamp" and room.size[2] - one.high[2] < 0.01
            assert on_floor + bool(below) + at_wall + hangs == 1, one.kind


def test_rooms_differ_and_have_furniture_of_all_sets(rooms):
    assert len({(room.kind, *room.size.round(3), len(room.things)) for room in rooms}) == len(rooms)
    kinds = {one.kind for room in rooms for one in room.things}
    assert len(kinds) >= 12
    assert kinds <= KINDS.keys()
    assert {"wall", "floor", "ceiling", "door", "window", "chair", "clutter"} <= kinds
    named = {name: KINDS[name].nyu40 for name in KINDS if name in SCANNET_NYU40}
    assert named == {name: SCANNET_NYU40[name] for name in named}
    assert len(named) == 14
    assert all(s3dis_label(kind) >= 0 for kind in KINDS)
    assert sum(sunrgbd_label(kind) is not None for kind in KINDS) == 8


def test_no_camera_is_in_a_thing_or_outside(rooms):
    for index, room in enumerate(rooms):
        low, high = (np.array([getattr(one, end) for one in room.things[SHELL:]]) for end in ("low", "high"))
        for camera in camera_path(room, 16, 64, room_rng(3, index, 1)):
            assert ((camera.position > 0.2) & (camera.position < room.size - 0.2)).all()
            assert not ((camera.position > low) & (camera.position < high)).all(axis=1).any()
            np.testing.assert_allclose(camera.extrinsics[:3, :3] @ camera.extrinsics[:3, :3].T, np.eye(3), atol=1e-9)
            assert np.linalg.det(camera.extrinsics[:3, :3]) > 0
            assert camera.extrinsics[1, 2] < -0.7  # down in the picture is down in the room


def test_a_camera_evades_a_tall_thing_on_its_path():
    block = thing("cabinet", [Piece(box(1.4, 2.2, 4), (1, 1, 1))], np.random.default_rng(0)).moved(3.3, 2)
    room = Room("office", np.array([4.0, 4.0, 2.5]), [block])
    positions = [camera.position for camera in camera_path(room, 16, 64, np.random.default_rng(0))]
    assert max(position[0] for position in positions) < block.low[0] - 0.25
    assert min(position[0] for position in positions) < 0.7


@pytest.mark.parametrize("distance", [1.0, 4.0])
def test_noise_grows_with_the_square_of_the_distance(distance):
    flat = np.full((200, 200), distance)
    measured = sense_depth(flat, np.ones_like(flat), np.random.default_rng(0)) / 1000
    assert (measured > 0).all()
    assert measured.mean() == pytest.approx(distance, abs=2e-4)
    assert measured.std() == pytest.approx(0.0012 + 0.0019 * (distance - 0.4) ** 2, rel=0.05)
    assert axial_noise(np.array(distance), np.array(0.3)) > axial_noise(np.array(distance), np.array(1.0))


def test_holes_are_at_grazing_angles_at_edges_and_out_of_range():
    depth = np.full((40, 60), 2.0)
    cosine = np.ones_like(depth)
    depth[:10], depth[10:20], depth[20:30, 30:] = RANGE_M[0] - 0.1, RANGE_M[1] + 0.1, 2.5
    cosine[34:38] = 0.05
    depth[38:] = np.inf
    is_hole = sense_depth(depth, cosine, np.random.default_rng(0)) == 0
    assert is_hole[:20].all()
    assert is_hole[34:].all()
    assert not is_hole[22:29, :29].any()
    assert not is_hole[22:28, 31:].any()
    assert 0 < is_hole[21:29, 29:31].mean() < 1


def test_a_group_that_overlaps_itself_or_is_too_large_has_no_place():
    cube = thing("cabinet", [Piece(box(1, 1, 1), (1, 1, 1))], np.random.default_rng(0))
    layout = Layout(np.array([3.0, 3.0, 2.5]), Dice(np.random.default_rng(0)))
    assert not layout.on_floor([cube, cube.moved(0.9)])
    assert not layout.against_wall([cube, cube.moved(2.1)])
    assert layout.against_wall([cube, cube.moved(1.0)])
    assert not layout.on_top(cube.moved(0), layout.things[0], margin=0.1)
    assert len(layout.things) == 2
