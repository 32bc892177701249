"""Pairs of RGB-D frames: what a frame shows of points, overlaps, matched points, pairs of pixels and points."""

import numpy as np
import pytest
import torch

from datasets.scenes.frame_overlap import list_pairs, see
from datasets.scenes.frame_pairs import FramePairs, MatchedFrames, TaughtFrames, pixel_pairs
from datasets.scenes.scannet_frames import SceneFrames
from datasets.shapes.cameras import project, unproject
from tests.support.damage import cut
from tests.support.tiny_frames import write_wall_frames

TOLERANCE = 0.05


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return SceneFrames(write_wall_frames(tmp_path_factory.mktemp("rooms"), "scene0000_00"))


def all_frames(scene):
    return [scene.read(place) for place in range(len(scene))]


def slow_overlap(first, second):
    """The share of the first frame's measurements that the second has measured too, a pixel at a time."""
    shown = measured = 0
    for row, column in np.argwhere(np.isfinite(first.depth)):
        z = first.depth[row, column]
        ray = [(column - first.intrinsics[0, 2]) / first.intrinsics[0, 0], 0, 1]
        ray[1] = (row - first.intrinsics[1, 2]) / first.intrinsics[1, 1]
        there = np.linalg.inv(second.pose) @ first.pose @ [*(z * np.array(ray)), 1]
        x, y, depth = there[:3]
        measured += 1
        u, v = (second.intrinsics @ (x / depth, y / depth, 1))[:2]
        i, j = round(v), round(u)
        if depth > 0 and 0 <= i < second.depth.shape[0] and 0 <= j < second.depth.shape[1]:
            shown += abs(second.depth[i, j] - depth) <= TOLERANCE
    return shown / measured


def test_pairs_overlap_as_a_slow_loop_says(scene):
    frames = all_frames(scene)
    pairs, overlaps = list_pairs(frames, 0.3, TOLERANCE)
    slow = {}
    for second in range(len(frames)):
        for first in range(second):
            a, b = frames[first], frames[second]
            slow[first, second] = min(slow_overlap(a, b), slow_overlap(b, a))
    assert 1 < len(pairs) < len(slow)
    expected = {pair: share for pair, share in slow.items() if share >= 0.3}
    assert list(map(tuple, pairs)) == list(expected)
    np.testing.assert_allclose(overlaps, list(expected.values()), rtol=1e-6)
    assert len(list_pairs(frames, 0.3, TOLERANCE, stride=2)[0]) == len(pairs)


def test_known_cameras_recover_the_pixels_of_a_frame(scene):
    frame = scene.read(0)
    points = unproject(frame.camera, frame.depth)
    pixels, is_shown = see(frame, points, 1e-6)
    assert is_shown.all()
    np.testing.assert_array_equal(pixels, np.argwhere(np.isfinite(frame.depth)))
    other = scene.read(1)
    pixels, is_shown = see(other, points, TOLERANCE)
    places = project(other.camera, points[is_shown])[0][:, ::-1]
    assert 0 < is_shown.mean() < 1
    assert np.abs(places - (pixels[is_shown] + 0.5)).max() <= 0.5


def test_points_behind_and_before_what_was_measured_are_not_shown(scene):
    frame = scene.read(0)
    towards = unproject(frame.camera, frame.depth) - frame.camera.position
    for factor, is_seen in ((0.9, False), (1.0, True), (1.1, False), (-1.0, False)):
        assert (see(frame, frame.camera.position + factor * towards, TOLERANCE)[1] == is_seen).all(), factor
    centre = frame.camera.position[None]
    assert not see(frame, centre, TOLERANCE)[1].any()


def items_of(scene, kind, **options):
    rows = np.array([[0, 0, 1], [0, 1, 2]])
    return kind(FramePairs([scene], rows), 300, seed=3, **options)


def test_matched_points_are_one_place_and_share_no_voxel(scene):
    options = {"num_matches": 100, "voxel_size": 0.1, "radius": 0.15}
    still = items_of(scene, MatchedFrames, rotation="none", **options)
    item = still[0]
    count = item["num_matches"]
    assert 20 < count <= 100
    assert item["points"].shape == item["colours"].shape == (2, 300, 3)
    means = [unproject(frame.camera, frame.depth).mean(axis=0) for frame in (scene.read(0), scene.read(1))]
    apart = item["points"][0, :count] - item["points"][1, :count] + torch.tensor(means[0] - means[1])
    assert apart.norm(dim=1).max() <= 0.15 + 1e-6
    turned = items_of(scene, MatchedFrames, **options)[0]
    for cloud in turned["points"]:
        cells = (cloud[: turned["num_matches"]].double() / 0.1).floor()
        assert len(cells.unique(dim=0)) == turned["num_matches"]
    within = [torch.pdist(cloud[:20]) for cloud in turned["points"]]
    assert not torch.allclose(turned["points"][0, 0] - turned["points"][1, 0], apart[0].float(), atol=0.01)
    assert (within[0] - within[1]).abs().max() <= 0.3 + 1e-5  # each turned as a whole: partners are as far apart


def test_an_item_is_a_function_of_seed_epoch_and_index(scene):
    options = {"num_matches": 50, "voxel_size": 0.1, "radius": 0.15}
    items, again = (items_of(scene, MatchedFrames, **options) for _ in range(2))
    again[1]
    assert torch.equal(items[0]["points"], again[0]["points"])
    again.set_epoch(1)
    assert not torch.equal(items[0]["points"], again[0]["points"])


class Features:
    def features(self, scene, frame):
        return np.full((3, 2, 2), frame, np.float16), np.full(4, frame, np.float32)


def test_a_point_is_paired_with_the_cells_that_show_it_in_both_frames(scene):
    frames = all_frames(scene)[:2]
    points = unproject(frames[0].camera, frames[0].depth)
    rows = pixel_pairs(frames, points, 8, TOLERANCE)
    own = rows[rows[:, 0] == 0]
    pixels = np.argwhere(np.isfinite(frames[0].depth))
    np.testing.assert_array_equal(own[:, 1:3], pixels * 8 // frames[0].depth.shape)
    other = rows[rows[:, 0] == 1]
    assert set(other[:, 3]) == set(np.flatnonzero(see(frames[1], points, TOLERANCE)[1]))
    taught = items_of(scene, TaughtFrames, features=Features(), num_pairs=64, map_size=8, tolerance=TOLERANCE)
    item = taught[1]
    assert item["points"].shape == item["colours"].shape == (300, 3)
    assert (item["pairs"].shape, item["pairs"].dtype) == ((64, 4), torch.int64)
    assert set(item["pairs"][:, 0].tolist()) == {0, 1}
    assert item["pairs"][:, 3].max() < 300
    assert (item["maps"][:, 0, 0, 0].tolist(), item["target"].tolist()) == ([1, 2], [1] * 4)


def test_faults_name_the_frame(tmp_path):
    scene = SceneFrames(write_wall_frames(tmp_path, "scene0001_00"))
    items = items_of(scene, MatchedFrames, num_matches=9, voxel_size=0.1, radius=1e-9)
    with pytest.raises(ValueError, match=r"scene0001_00, frames 0 and 25: . voxels of 0\.1 m match .* --match_radius"):
        items[0]
    cut(40)(scene.folder / "color/25.jpg")
    with pytest.raises(ValueError, match=r"color/25\.jpg is not a readable picture"):
        items[1]
