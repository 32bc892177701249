"""Rooms of S3DIS are read from text with all that the real files hold: bad bytes, copies, mixed ends of lines."""

import numpy as np
import pytest

from datasets.scenes.s3dis_rooms import list_rooms, read_room
from datasets.scenes.scene_classes import S3DIS_CLASSES
from tests.support.real_scenes import write_room

CEILING = b"1.0 2.0 3.050 155 155 165\r\n\n2.0 2.5 3.048 192 194 191\n  \r3.0 2.5 3.0 1 2 3"
CHAIR = b"0.000 0.250 0.5 0 255 7\n1.500 -9.100 0.0 103.000000 99 98\n"


def test_a_room_is_its_annotated_objects_whatever_ends_its_lines(tmp_path):
    files = {"ceiling_1.txt": CEILING, "chair_2.txt": CHAIR, "chair_2 (1).txt": CHAIR, "stairs_1.txt": b"0 0 0 1 1 1\n"}
    folder = write_room(tmp_path, 5, "hallway_6", files | {"._chair_2.txt": b"\x00\x05\x16"})
    room = read_room(folder)
    assert room.name == "Area_5/hallway_6"
    np.testing.assert_allclose(room.points[:, 0], [1, 2, 3, 0, 1.5, 0])
    assert room.colours.tolist()[2:5] == [[1, 2, 3], [0, 255, 7], [103, 99, 98]]
    assert [S3DIS_CLASSES[label] for label in room.labels] == ["ceiling"] * 3 + ["chair"] * 2 + ["clutter"]
    assert room.instances.tolist() == [1, 1, 1, 2, 2, 3]
    np.testing.assert_allclose(room.boxes.centre[0], [0.75, -4.425, 0.25], rtol=1e-6)
    np.testing.assert_allclose(room.boxes.size[0], [1.5, 9.35, 0.5], rtol=1e-6)
    assert [S3DIS_CLASSES[label] for label in room.boxes.label] == ["chair", "clutter"]
    copy, stairs = room.notes
    assert "chair_2 (1).txt: a copy of chair_2.txt, left out" in copy
    assert "stairs_1.txt: stairs counts as clutter" in stairs


@pytest.mark.parametrize(
    "damaged, row",
    [
        (b"22.350 6.692 3.048 185\x00187 182", [22.35, 6.692, 3.048, 185, 187, 182]),  # Area_5/hallway_6
        (b"1 2 3 4 5 103.0\x100000", [1, 2, 3, 4, 5, 103]),  # Area_5/office_19
        (b"19.302 -9.1\x160 1.785 146 137 106", [19.302, -9.16, 1.785, 146, 137, 106]),  # Area_3/hallway_2
    ],
)
def test_the_known_bad_bytes_are_repaired_and_noted(tmp_path, damaged, row):
    folder = write_room(tmp_path, 5, "hallway_6", {"ceiling_1.txt": CEILING + b"\n" + damaged + b"\n"})
    room = read_room(folder)
    np.testing.assert_allclose([*room.points[-1], *room.colours[-1]], row, rtol=1e-6)
    (note,) = room.notes
    assert "ceiling_1.txt: line 6 " in note
    assert "read as" in note


@pytest.mark.parametrize(
    "line", [b"1 2 x 4 5 6", b"1 2 3 4 5", b"1 2 3 4 5 6 7", b"1 2 nan 4 5 6", b"1 2 3 4 5 256", b"1 2 3 \xff 5 6"]
)
def test_a_line_that_cannot_be_repaired_is_named(tmp_path, line):
    folder = write_room(tmp_path, 5, "hallway_6", {"ceiling_1.txt": CEILING + b"\n" + line + b"\n"})
    with pytest.raises(ValueError, match=r"hallway_6/Annotations/ceiling_1\.txt: line 6 is '.*correct the line"):
        read_room(folder)


def test_the_mark_of_utf_8_is_no_number_and_colours_from_0_to_1_are_refused(tmp_path):
    folder = write_room(tmp_path, 1, "office_1", {"chair_1.txt": b"\xef\xbb\xbf" + CHAIR})
    np.testing.assert_allclose(read_room(folder).points[0], [0, 0.25, 0.5])
    chair = folder / "Annotations" / "chair_1.txt"
    chair.write_bytes(b"0 0 0 0.5 0.25 1\n1 1 1 0 1 0\n")
    with pytest.raises(ValueError, match=r"chair_1\.txt: its colours are shares from 0 to 1, expected 0 to 255"):
        read_room(folder)
    chair.write_bytes(b"0 0 0 0 1 1\n1 1 1 0.0 1.0 0\n")  # nearly black
    assert read_room(folder).colours.tolist() == [[0, 1, 1], [0, 1, 0]]


def test_colours_may_be_missing_in_all_files_and_not_in_some(tmp_path):
    files = {"floor_1.txt": b"0 0 0\n1 1 0\n", "wall_1.txt": b"0 0 1\n"}
    assert read_room(write_room(tmp_path, 1, "office_1", files)).colours is None
    mixed = write_room(tmp_path, 1, "office_2", files | {"chair_1.txt": CHAIR})
    with pytest.raises(ValueError, match=r"floor_1\.txt has no colours and 1 other files of the room have"):
        read_room(mixed)
    empty = write_room(tmp_path, 1, "office_3", {"floor_1.txt": b" \r\n"})
    with pytest.raises(ValueError, match=r"floor_1\.txt has no points"):
        read_room(empty)


def test_a_room_without_annotations_has_no_labels_and_may_be_misnamed(tmp_path):
    room = tmp_path / "Area_6" / "copyRoom_1"
    room.mkdir(parents=True)
    (room / "copy_Room_1.txt").write_bytes(CHAIR)
    scene = read_room(room)
    assert (len(scene.points), scene.labels, scene.instances, scene.boxes) == (2, None, None, None)
    (room / "copy_Room_1.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no .*copyRoom_1\.txt and no .*Annotations"):
        read_room(room)


def test_rooms_are_listed_by_area(tmp_path):
    for area, name in ((2, "office_1"), (1, "office_2"), (1, "hallway_1")):
        write_room(tmp_path, area, name, {"chair_1.txt": CHAIR})
    (tmp_path / "Area_1" / "Area_1_alignmentAngle.txt").write_text("## Global alignment angle per disjoint space\n")
    assert [room.name for room in list_rooms(tmp_path)] == ["hallway_1", "office_2", "office_1"]
    assert [room.name for room in list_rooms(tmp_path, (2,))] == ["office_1"]
    with pytest.raises(FileNotFoundError, match="no room in .*Area_5"):
        list_rooms(tmp_path, (5,))
