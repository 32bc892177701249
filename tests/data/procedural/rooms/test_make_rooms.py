"""data.make_rooms: the readers of the real sets take all three layouts, and a room depends on its number alone."""

import json
import shutil

import numpy as np
import pytest
from scipy.spatial import cKDTree

from data import check_data, make_rooms
from data.procedural.rooms.camera_path import camera_path
from data.procedural.rooms.furnishing import make_room, room_rng
from data.procedural.rooms.room_classes import KINDS, s3dis_label, sunrgbd_label
from data.procedural.rooms.sunrgbd_writer import point_votes
from datasets.detection.scene_boxes import points_inside
from datasets.scenes.s3dis_rooms import list_rooms, read_room
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scannet_scans import list_scans, read_scan
from datasets.scenes.scene_classes import SUNRGBD_CLASSES, scannet_labels
from datasets.scenes.sunrgbd_scenes import list_prepared, prepared_folder, read_prepared, read_votes
from datasets.shapes.cameras import unproject
from scripts import plot_rooms
from tests.support.program_calls import message_of, run

FLAGS = ("--count", 2, "--frames", 9, "--width", 64, "--workers", 1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "rooms"
    run(make_rooms, "--out", out, *FLAGS)
    return out


@pytest.fixture(scope="module")
def room():
    return make_room(0, 0)


def content(root):
    """Bytes of every file; of npz files the arrays, whose container carries the time of day."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    read = {".npz": lambda path: b"".join(array.tobytes() for array in np.load(path).values())}
    return {str(path.relative_to(root)): read.get(path.suffix, type(path).read_bytes)(path) for path in paths}


def test_a_scan_has_the_things_of_its_room_where_they_stand(tree, room):
    folders = list_scans(tree, "train")
    assert [folder.name for folder in folders] == ["scene0000_00", "scene0001_00"]
    assert list_scans(tree, "val") == []
    scene = read_scan(folders[0])
    present = np.unique(scene.instances)
    assert len(present) > 12
    for number in present:
        points = scene.points[scene.instances == number]
        expected = [
            one
            for one in room.things
            if scannet_labels(np.array([KINDS[one.kind].nyu40]))[0] == scene.labels[scene.instances == number][0]
            and (points > one.low - 0.15).all()
            and (points < one.high + 0.15).all()
        ]
        assert expected, number
    assert (np.abs(scene.points[scene.labels == 1][:, 2]) < 0.08).all()  # the floor is level, at 0


def test_frames_have_the_cameras_of_the_path_and_lift_onto_the_cloud(tree, room):
    folder = list_scans(tree)[0]
    scene, frames = read_scan(folder), SceneFrames(folder)
    assert (len(frames), frames.lost) == (9, [])
    for index, camera in enumerate(camera_path(room, 9, 64, room_rng(0, 0, 1))):
        frame = frames.read(index)
        np.testing.assert_allclose(frame.camera.intrinsics, camera.intrinsics, atol=1e-5)
        np.testing.assert_allclose(frame.camera.extrinsics, camera.extrinsics, atol=1e-4)
        near = unproject(frame.camera, np.where(frame.depth < 2.5, frame.depth, np.inf))
        assert np.median(cKDTree(scene.points).query(near)[0]) < 0.04


def test_a_room_of_s3dis_is_the_same_cloud(tree, room):
    rooms = list_rooms(tree)
    assert [(room.parent.name, room.name.split("_")[1]) for room in rooms] == [("Area_1", "0"), ("Area_2", "1")]
    scene, scan = read_room(rooms[0]), read_scan(list_scans(tree)[0])
    distance, nearest = cKDTree(scan.points).query(scene.points)
    assert len(scene.points) == len(scan.points)
    assert distance.max() < 0.001
    np.testing.assert_array_equal(scene.colours, scan.colours[nearest])
    assert set(np.unique(scene.labels)) <= {s3dis_label(one.kind) for one in room.things}
    assert len(np.unique(scene.instances)) == len(np.unique(scan.instances))
    whole = np.loadtxt(rooms[0] / f"{rooms[0].name}.txt")[:, :3]
    np.testing.assert_allclose(np.sort(whole, axis=0), np.sort(scene.points, axis=0), atol=1e-6)


def test_scenes_of_sun_rgbd_are_upright_with_boxes_around_their_objects(tree):
    folder = prepared_folder(tree, "train")
    assert list_prepared(folder) == ["000001", "000002", "000003", "000004"]
    shares = []
    for scene_id in list_prepared(folder):
        scene = read_prepared(folder, scene_id)
        assert len(scene.points) == 50_000
        assert -2.2 < np.quantile(scene.points[:, 2], 0.02) < -1  # the floor below the camera
        assert (scene.points[:, 1] > 0).all()
        voting, steps = read_votes(folder, scene_id)
        inside = points_inside(scene.points, scene.boxes)
        np.testing.assert_array_equal(voting, inside.any(axis=0))
        np.testing.assert_allclose(
            (scene.points + steps[:, 0])[inside[0]],
            np.broadcast_to(scene.boxes.centre[0], (inside[0].sum(), 3)),
            atol=1e-5,
        )
        shares += inside.mean(axis=1).tolist()
        assert {SUNRGBD_CLASSES[label] for label in scene.boxes.label} & {"chair", "table", "desk", "bookshelf"}
        assert (scene.boxes.heading != 0).all()
    assert min(shares) > 0.001


def test_a_box_of_sun_rgbd_is_that_of_the_whole_thing_and_heads_where_it_faces(tree, room):
    boxes = read_prepared(prepared_folder(tree, "train"), "000001").boxes
    camera = camera_path(room, 9, 64, room_rng(0, 0, 1))[0]
    x, y = camera.extrinsics[2, :2] / np.linalg.norm(camera.extrinsics[2, :2])
    turn = np.array([[y, -x, 0], [x, y, 0], [0, 0, 1]])  # x right, y forward
    inside = []
    for one in room.things:
        in_box = points_inside((one.vertices - camera.position) @ turn.T, boxes).all(axis=1)
        front = turn[:2, :2] @ (-np.sin(np.radians(one.yaw)), np.cos(np.radians(one.yaw)))
        heads = np.stack([np.cos(boxes.heading), -np.sin(boxes.heading)], axis=1) @ front > 0.999
        is_whole = np.abs(boxes.size - 0.04 - one.own_box[1][[1, 0, 2]]).max(axis=1) < 1e-4
        inside.append(in_box & heads & is_whole & (boxes.label == sunrgbd_label(one.kind)))
    assert len(boxes.label) > 1
    np.testing.assert_array_equal(np.sum(inside, axis=0), 1)


def test_votes_follow_the_definition():
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (60, 3))
    boxes = np.concatenate([rng.uniform(-0.3, 0.3, (5, 3)), np.full((5, 3), 0.7), np.zeros((5, 2))], axis=1)
    expected = np.zeros((60, 10))
    for row, point in enumerate(points):
        steps = [box[:3] - point for box in boxes if (np.abs(point - box[:3]) <= box[3:6]).all()]
        if steps:
            places = [steps[0]] * 3
            for number, step in enumerate(steps):
                places[min(number, 2)] = step
            expected[row] = [1, *np.concatenate(places)]
    assert (expected[:, 0] == 0).any()
    np.testing.assert_allclose(point_votes(points, boxes), expected, atol=1e-6)


def test_a_room_made_again_alone_is_the_same(tree, tmp_path, capsys):
    before = content(tree)
    run(make_rooms, "--out", tree, *FLAGS)
    assert "nothing to do" in capsys.readouterr().out
    shutil.rmtree(tree / "scans/scene0001_00")
    record = json.loads((tree / "make_rooms.json").read_text())
    (tree / "make_rooms.json").write_text(json.dumps(record | {"complete": False}))
    kept = (tree / "scans/scene0000_00/scene0000_00.txt").stat().st_mtime_ns
    run(make_rooms, "--out", tree, *FLAGS)
    assert (tree / "scans/scene0000_00/scene0000_00.txt").stat().st_mtime_ns == kept
    after = content(tree)
    assert {name: after[name] == before[name] for name in before} == dict.fromkeys(after, True)
    assert "frames 9 there, 4 asked for" in message_of(capsys, make_rooms, "--out", tree, *FLAGS, "--frames", 4)


@pytest.mark.parametrize("inner", ["", "rooms"])
def test_a_file_in_place_of_the_folder_is_refused(tmp_path, capsys, inner):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    message = message_of(capsys, make_rooms, "--out", file / inner, *FLAGS)
    assert f"--out {file / inner}: {file} is a file, a folder is expected" in message
    assert file.read_text() == "mine"


def test_rooms_of_a_killed_run_are_refused_with_the_command_that_goes_on(tmp_path, capsys, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    flags = ("--out", tmp_path / "rooms", "--layout", "scannet", "--count", 1, "--frames", 2, "--width", 64)
    with monkeypatch.context() as patched:
        patched.setattr(make_rooms, "write_lists", killed)
        with pytest.raises(KeyboardInterrupt):
            run(make_rooms, *flags, "--workers", 1)
    with pytest.raises(FileNotFoundError, match=r"no .*scannetv2_train\.txt.*data\.make_rooms writes it last: run it"):
        list_scans(tmp_path / "rooms", "train")
    assert run(check_data, tmp_path / "rooms", "--workers", 1) == 1
    (last,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("made rooms:")]
    command = last.split("next: python -m data.make_rooms ")[1].split()
    run(make_rooms, *command, "--workers", 1)
    assert "1 rooms" in capsys.readouterr().out
    assert [folder.name for folder in list_scans(tmp_path / "rooms", "train")] == ["scene0000_00"]
    assert run(check_data, tmp_path / "rooms", "--workers", 1) == 0


def test_the_validator_takes_it_and_it_is_drawn(tree, tmp_path, capsys):
    assert run(check_data, tree, "--workers", 1) == 0
    said = capsys.readouterr().out
    assert "no faults" in said
    assert "high along z" not in said
    assert "frames: 18 of 2 scenes" in said
    for dataset in ("scannet", "sunrgbd"):
        run(plot_rooms, "--data_root", tree, "--dataset", dataset, "--rooms", 1, "--out", tmp_path / f"{dataset}.png")
        assert (tmp_path / f"{dataset}.png").stat().st_size > 5000
    assert "--first 9" in message_of(capsys, plot_rooms, "--data_root", tree, "--first", 9, "--out", tmp_path / "a.png")
