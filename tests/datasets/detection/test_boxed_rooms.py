"""Rooms of ScanNet and SUN RGB-D as a detector takes them, from files written by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from datasets.detection.boxed_rooms import ScanNetRooms, SunRgbdRooms, require_boxes
from datasets.detection.detection_sets import SCANNET, SUN_RGBD, mean_sizes
from datasets.detection.scene_boxes import SceneBoxes
from datasets.scenes.scene_classes import SCANNET_CLASSES, SUNRGBD_CLASSES
from tests.support.real_scenes import COLOURS, write_prepared, write_scan

PREPARED = "sunrgbd_pc_bbox_votes_50k_v1_train"


def test_the_classes_of_a_detector_are_those_of_the_labels():
    spelled = {"showercurtain": "shower curtain", "garbagebin": "otherfurniture"}
    assert tuple(spelled.get(name, name) for name in SCANNET.classes) == SCANNET_CLASSES[2:]
    assert SUN_RGBD.classes == SUNRGBD_CLASSES


def test_points_of_scannet_vote_for_the_middle_of_their_instance(tmp_path):
    write_scan(tmp_path, "scene0001_00")
    (tmp_path / "scannetv2_train.txt").write_text("scene0001_00\n")
    rooms = ScanNetRooms(tmp_path, "train")
    points, boxes, votes = rooms.read(0, with_colours=True)
    assert [SCANNET.classes[label] for label in boxes.label] == ["chair", "garbagebin"]
    assert_allclose(boxes.centre[0], (4.5, 8, 7.25))  # aligned: x' = 5 - y, y' = 6 + x, z' = 7 + z
    assert_allclose(boxes.size[0], (1, 0, 0.5))
    assert_array_equal(votes.is_voting, [False, True, True, True, True, False])
    goals = points[:, None, :3] + votes.offset
    assert_allclose(goals[1:5], np.repeat(boxes.centre, [2, 2], axis=0)[:, None].repeat(3, axis=1), atol=1e-6)
    assert_allclose(points[:, 3:], np.array(COLOURS) / 255 - 0.5, atol=1e-6)
    assert not rooms.read(0, with_votes=False).votes.is_voting.any()


def test_rooms_of_sunrgbd_have_turned_boxes_and_the_votes_of_their_files(tmp_path):
    write_prepared(tmp_path / PREPARED, "000001")
    points, boxes, votes = SunRgbdRooms(tmp_path, "train").read(0)
    assert [SUN_RGBD.classes[label] for label in boxes.label] == ["chair", "bed"]
    assert_allclose(boxes.size[0], (0.8, 0.4, 0.6))
    assert boxes.heading[0] == np.float32(np.pi / 2)
    assert_array_equal(votes.is_voting, np.arange(40) < 10)
    assert_allclose((points[:10, None] + votes.offset[:10]).reshape(-1, 3), [(0, 3, -1)] * 30, atol=1e-6)


def test_rooms_without_any_box_are_refused_by_name(tmp_path):
    for name in ("000001", "000002"):
        write_prepared(tmp_path / PREPARED, name)
    rooms = SunRgbdRooms(tmp_path, "train")
    np.save(tmp_path / PREPARED / "000001_bbox.npy", np.zeros((0, 8)))
    require_boxes(rooms, "train")
    np.save(tmp_path / PREPARED / "000002_bbox.npy", np.zeros((0, 8)))
    with pytest.raises(ValueError, match=f"{PREPARED}: none of the 2 scenes of train has a box of one of bed, table"):
        require_boxes(rooms, "train")
    write_scan(tmp_path, "scene0001_00", labelled=False)
    (tmp_path / "scannetv2_val.txt").write_text("scene0001_00\n")
    (tmp_path / "scans" / "scene0001_00" / "scene0001_00.txt").write_text("sceneType = Office\n")
    with pytest.raises(ValueError, match="scene0001_00 has no boxes: it lacks the labels or the instances"):
        require_boxes(ScanNetRooms(tmp_path, "val"), "val")


def test_a_class_without_a_training_box_keeps_the_size_that_is_given():
    size = np.array([(1.0, 1, 1), (3, 1, 1)])
    boxes = SceneBoxes(size, size, np.zeros(2), np.array([1, 1]))
    assert mean_sizes([boxes], 2, ((5, 6, 7), (8, 9, 10))) == ((5, 6, 7), (2, 1, 1))
    with pytest.raises(ValueError, match="no training box of 1 of 2 classes"):
        mean_sizes([boxes], 2)
