"""Rooms in the three published layouts are validated: what is sound is counted, what a reader refuses is named."""

import json

import numpy as np
import pytest

from datasets.scenes.sunrgbd_scenes import prepared_folder
from tests.support.check_helpers import check
from tests.support.damage import cut
from tests.support.real_scenes import write_frames, write_prepared, write_room, write_scan

CHAIR = b"0 0 0 1 2 3\n1 1 1 4 5 6\n"


@pytest.fixture
def root(tmp_path):
    write_frames(write_scan(tmp_path, "scene0000_00"))
    write_scan(tmp_path, "scene0001_00", labelled=False)
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\n")
    write_room(tmp_path, 1, "office_1", {"chair_1.txt": CHAIR, "floor_1.txt": CHAIR + b"1 2 3 4\x005 6\n"})
    write_room(tmp_path, 5, "office_1", {"stairs_1.txt": CHAIR})
    write_prepared(prepared_folder(tmp_path, "train"), "000001")
    return tmp_path


def test_what_is_sound_is_counted(root, capsys):
    status, said = check(root, capsys)
    said = " ".join(said.split())
    assert status == 0
    assert "scenes: 2 (in lists: train 1), points a scene: 6 .. 6; boxes of objects: 2" in said
    assert (
        "labelled scenes: 1 of 2; points of each class: wall 16.7%, chair 33.3%, otherfurniture 16.7%, of none 33.3%"
        in said
    )
    assert "frames: 2 of 1 scenes, skipped for lost tracking: 1; depth maps (width x height): 4x3" in said
    assert "scenes: 2 (areas 1, 5), points a scene: 2 .. 5; boxes of objects: 2" in said
    assert r"floor_1.txt: line 3 '1 2 3 4\x005 6' read as '1 2 3 4 5 6'" in said
    assert "stairs counts as clutter" in said
    assert "SUN RGB-D v1 train" in said
    assert "scenes: 1, points a scene: 40 .. 40; boxes of objects: 2" in said
    assert f"next: python -m scripts.plot_rooms --data_root {root} --dataset scannet --out rooms.png" in said


def test_each_fault_is_named(root, capsys):
    scan = root / "scans/scene0000_00"
    cut(-30)(scan / "scene0000_00_vh_clean_2.labels.ply")
    cut(30)(scan / "color/0.jpg")
    cut(30)(scan / "depth/10.png")
    with (root / "Area_1/office_1/Annotations/chair_1.txt").open("a") as file:
        file.write("1 2 three 4 5 6\n")
    np.save(prepared_folder(root, "train") / "000001_bbox.npy", np.full((1, 8), 10.0))
    (prepared_folder(root, "train") / "000001_votes.npz").unlink()
    (root / "scannetv2_val.txt").write_text("scene0009_00\n")
    status, said = check(root, capsys)
    assert status == 1
    for text in (
        "labels.ply is not a readable PLY file",
        "color/0.jpg is not a readable picture",
        "depth/10.png is not a readable picture",
        "scannetv2_val.txt names 1 scenes that are not in",
        "chair_1.txt: line 3 is '1 2 three 4 5 6'",
        "000001_bbox.npy: a class is none of 0 .. 9",
        "no " + str(prepared_folder(root, "train") / "000001_votes.npz"),
        "ScanNet: 4 faults; next: get the files above again, or remove their scenes",
        "S3DIS: 1 faults",
        "SUN RGB-D v1 train: 2 faults",
    ):
        assert text in said


def test_a_scene_of_two_lists_or_without_colours_is_named(tmp_path, capsys):
    for number in range(3):
        write_scan(tmp_path, f"scene000{number}_00")
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\nscene0001_00\n")
    (tmp_path / "scannetv2_val.txt").write_text("scene0001_00\nscene0002_00\nscene0002_00\n")
    write_room(tmp_path, 1, "office_1", {"chair_1.txt": b"0 0 0\n1 1 1\n"})
    status, said = check(tmp_path, capsys)
    assert status == 1
    said = " ".join(said.split())
    lists = f"{tmp_path}/scannetv2_train.txt and {tmp_path}/scannetv2_val.txt"
    assert f"{lists} both have 1 scenes, first scene0001_00: take them out of one" in said
    assert "scannetv2_val.txt names scenes twice, first scene0002_00" in said
    assert "ScanNet: 2 faults" in said
    assert "1 of 1 scenes have no colours, which networks of rooms take" in said


def test_a_scene_of_sun_rgbd_in_train_and_val_is_named(root, capsys):
    folders = [prepared_folder(root, split) for split in ("train", "val")]
    write_prepared(folders[1], "000001")
    status, said = check(root, capsys)
    assert status == 1
    assert f"{folders[0]} and {folders[1]} both have 1 scenes, first 000001: take them out of one" in said


def test_a_scene_in_millimetres_is_noted_by_its_file(tmp_path, capsys):
    write_scan(tmp_path, "scene0000_00")
    scene = write_scan(tmp_path, "scene0001_00", scale=1000)
    write_room(tmp_path, 1, "office_1", {"chair_1.txt": b"0 0 0 1 2 3\n1 1 12 4 5 6\n"})
    write_room(tmp_path, 1, "office_2", {"chair_1.txt": b"0 0 0 1 2 3\n1 1 12.5 4 5 6\n"})
    _, said = check(tmp_path, capsys)
    notes = [line for line in said.splitlines() if "high along z" in line]
    cloud, room = scene / "scene0001_00_vh_clean_2.ply", tmp_path / "Area_1" / "office_2"
    end = "m high along z; rooms are taken in metres and z up"
    assert notes == [f"  note: {cloud} is 1500 {end}", f"  note: {room} is 12.5 {end}"]


def test_a_listed_scene_without_labels_or_instances_is_named(tmp_path, capsys):
    names = [f"scene000{number}_00" for number in range(5)]
    scenes = [write_scan(tmp_path, name) for name in names]
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        (tmp_path / f"scannetv2_{split}.txt").write_text(f"{names[number]}\n")
    labels = [scene / f"{scene.name}_vh_clean_2.labels.ply" for scene in scenes]
    for path in labels[:4]:  # of a scene of each list, and of one in no list
        path.unlink()
    status, said = check(tmp_path, capsys)
    assert status == 1
    faults = [line.strip() for line in said.splitlines() if "FAULT" in line]
    assert faults == [
        f"FAULT: {tmp_path}/scannetv2_{split}.txt names {scene.name}, which has no labels: no {path}; get them, or "
        "take it off"
        for split, scene, path in zip(("train", "val"), scenes, labels)
    ]


def test_scenes_without_instances_are_noted(tmp_path, capsys):
    scene = write_scan(tmp_path, "scene0000_00")
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\n")
    assert "train_detection" not in check(tmp_path, capsys)[1]
    for name in ("_vh_clean_2.0.010000.segs.json", ".aggregation.json"):
        (scene / f"{scene.name}{name}").unlink()
    status, said = check(tmp_path, capsys)
    assert status == 0
    assert "scannetv2_train.txt: 1 of 1 scenes have no instances, first scene0000_00: train_detection refuses" in said


@pytest.mark.parametrize("has_rooms", [True, False])
def test_made_rooms_that_were_not_finished_are_a_fault(tmp_path, capsys, has_rooms):
    if has_rooms:
        write_scan(tmp_path, "scene0000_00")
    record = tmp_path / "make_rooms.json"
    record.write_text(json.dumps({"recipe": {"count": 3, "seed": 0}, "complete": False}))
    status, said = check(tmp_path, capsys)
    assert status == 1
    assert f"FAULT: {record}: data.make_rooms was not finished here" in said
    assert f"made rooms: 1 faults; next: python -m data.make_rooms --out {tmp_path} --count 3 --seed 0" in said
    record.write_text("{")
    status, said = check(tmp_path, capsys)
    assert status == 1
    assert f"FAULT: {record} is damaged" in said
    assert f"next: delete {tmp_path}, then python -m data.make_rooms --out {tmp_path}" in said
