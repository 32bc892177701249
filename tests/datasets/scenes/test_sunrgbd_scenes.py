"""Scenes of SUN RGB-D as VoteNet prepares them."""

import numpy as np
import pytest

from datasets.detection.scene_boxes import points_inside
from datasets.scenes.scene_classes import SUNRGBD_CLASSES
from datasets.scenes.sunrgbd_scenes import list_prepared, prepared_folder, read_prepared, read_votes
from tests.support.damage import cut
from tests.support.real_scenes import write_prepared


@pytest.fixture
def folder(tmp_path):
    path = prepared_folder(tmp_path, "train")
    assert path.name == "sunrgbd_pc_bbox_votes_50k_v1_train"
    write_prepared(path, "000002")
    write_prepared(path, "000001")
    return path


def test_boxes_are_whole_sizes_and_hold_the_points_that_vote_for_their_centres(folder):
    assert list_prepared(folder) == ["000001", "000002"]
    scene = read_prepared(folder, "000001")
    assert (scene.points.dtype, scene.colours.dtype, scene.labels) == (np.float32, np.uint8, None)
    np.testing.assert_allclose(scene.boxes.centre[0], [0, 3, -1])
    np.testing.assert_allclose(scene.boxes.size[0], [0.8, 0.4, 0.6])
    assert [SUNRGBD_CLASSES[label] for label in scene.boxes.label] == ["chair", "bed"]
    voting, steps = read_votes(folder, "000001")
    np.testing.assert_array_equal(points_inside(scene.points, scene.boxes)[0], voting)  # only if turned the right way
    assert voting.sum() == 10
    np.testing.assert_allclose(
        scene.points[voting][:, None] + steps[voting], np.full((10, 3, 3), (0, 3, -1)), atol=1e-6
    )


def test_a_turn_goes_from_x_towards_minus_y(folder):
    boxes = np.load(folder / "000001_bbox.npy")
    boxes[0, 6] = np.pi / 6
    np.save(folder / "000001_bbox.npy", boxes)
    scene = read_prepared(folder, "000001")
    far = np.array([0, 3, -1]) + 0.39 * np.array([np.cos(np.pi / 6), -np.sin(np.pi / 6), 0])
    mirrored = np.array([0, 3, -1]) + 0.39 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6), 0])
    assert points_inside(np.array([far, mirrored]), scene.boxes)[0].tolist() == [True, False]


def test_a_scene_without_objects_or_colours_is_read(folder):
    np.save(folder / "000001_bbox.npy", np.zeros((0, 8)))
    np.savez(folder / "000001_pc.npz", pc=np.zeros((5, 3)))
    scene = read_prepared(folder, "000001")
    assert (len(scene.boxes.label), scene.colours) == (0, None)


def _saved(array):
    return lambda path: np.savez(path, pc=array) if path.suffix == ".npz" else np.save(path, array)


def _named(path):
    with path.open("wb") as stream:
        np.savez(stream, boxes=np.zeros((0, 8)))


@pytest.mark.parametrize(
    "file, damage, said",
    [
        ("pc.npz", cut(50), "000001_pc.npz is damaged"),
        ("pc.npz", _saved(np.zeros((5, 4))), r"pc is \(5, 4\)"),
        ("pc.npz", _saved(np.full((5, 6), np.nan)), "expected .N, 6. finite"),
        ("pc.npz", _saved(np.full((5, 6), 200.0)), "colours leave 0 .. 1"),
        ("bbox.npy", cut(100), "000001_bbox.npy is damaged"),
        ("bbox.npy", _saved(np.ones((2, 7))), r"boxes are \(2, 7\)"),
        ("bbox.npy", _saved(np.full((2, 8), 10.0)), "a class is none of 0 .. 9"),
        ("bbox.npy", lambda path: path.unlink(), "no .*000001_bbox.npy"),
        ("bbox.npy", _named, r"bbox\.npy holds arrays with names, expected rows of numbers"),
        ("bbox.npy", _saved(np.array(["a"])), r"bbox\.npy holds \(1,\) <U1, expected rows of numbers"),
    ],
)
def test_a_damaged_scene_is_refused_by_name(folder, file, damage, said):
    damage(folder / f"000001_{file}")
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        read_prepared(folder, "000001")


def test_votes_beside_a_single_number_are_refused(folder):
    np.savez(folder / "000001_pc.npz", pc=np.array(3.0))
    with pytest.raises(ValueError, match=r"000001_pc\.npz holds \(\) float64, expected rows"):
        read_votes(folder, "000001")


def test_votes_of_another_number_of_points_are_refused(folder):
    write_prepared(folder.parent / "other", "000001", num_points=20)
    (folder.parent / "other/000001_votes.npz").replace(folder / "000001_votes.npz")
    with pytest.raises(ValueError, match=r"000001_votes\.npz: point_votes is \(20, 10\), expected \(40, 10\)"):
        read_votes(folder, "000001")
