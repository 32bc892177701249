"""Scenes of ScanNet are read from files written by the data set's definition."""

import json
import tracemalloc

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from datasets.scenes.scannet_scans import list_scans, read_scan
from datasets.scenes.scene import IGNORED
from datasets.scenes.scene_classes import SCANNET_CLASSES
from tests.support.damage import cut, replace_bytes
from tests.support.real_scenes import COLOURS, POINTS, write_scan


def test_a_scene_has_its_points_on_the_axes_and_the_benchmarks_labels(tmp_path):
    scene = read_scan(write_scan(tmp_path, "scene0000_00"))
    x, y, z = np.array(POINTS, dtype=np.float32).T
    np.testing.assert_array_equal(scene.points, np.stack([5 - y, 6 + x, 7 + z], axis=1))
    np.testing.assert_array_equal(scene.colours, COLOURS)
    names = [SCANNET_CLASSES[label] if label != IGNORED else None for label in scene.labels]
    assert names == ["wall", "chair", "chair", "otherfurniture", None, None]
    assert scene.instances.tolist() == [1, 2, 2, 3, 3, 0]
    assert [SCANNET_CLASSES[label] for label in scene.boxes.label] == ["chair", "otherfurniture"]
    np.testing.assert_allclose(scene.boxes.centre, [[4.5, 8, 7.25], [4, 6.5, 8.25]])
    np.testing.assert_allclose(scene.boxes.size, [[1, 0, 0.5], [0, 1, 0.5]])
    assert scene.points.dtype == np.float32
    assert scene.name == "scene0000_00"


def test_groups_of_the_finer_mesh_are_not_taken_for_those_of_the_cloud(tmp_path):
    folder = write_scan(tmp_path, "scene0000_00")
    (folder / "scene0000_00.aggregation.json").rename(folder / "scene0000_00_vh_clean.aggregation.json")
    with pytest.raises(FileNotFoundError, match=r"no .*scene0000_00\.aggregation\.json; instances need"):
        read_scan(folder)


def test_coordinates_of_the_files_are_kept_on_request(tmp_path):
    folder = write_scan(tmp_path, "scene0000_00")
    (folder / "scene0000_00.txt").unlink()
    scene = read_scan(folder, align=False)
    np.testing.assert_array_equal(scene.points, np.array(POINTS, dtype=np.float32))
    assert scene.instances.tolist() == [1, 2, 2, 3, 3, 0]
    with pytest.raises(FileNotFoundError, match=r"no .*scene0000_00\.txt, .*axisAlignment.*get it"):
        read_scan(folder)


def test_a_test_scene_has_no_labels_and_no_colours_where_the_file_has_none(tmp_path):
    folder = write_scan(tmp_path, "scene0707_00", labelled=False, folder="scans_test")
    scene = read_scan(folder)
    assert (scene.labels, scene.instances, scene.boxes) == (None, None, None)
    np.testing.assert_array_equal(scene.points, np.array(POINTS, dtype=np.float32))
    cloud = folder / "scene0707_00_vh_clean_2.ply"
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    cloud.write_text(f"ply\nformat ascii 1.0\nelement vertex 1\n{axes}end_header\n1 2 3\n")
    assert read_scan(folder).colours is None
    assert list_scans(tmp_path) == [folder]


@pytest.mark.parametrize(("kind", "largest"), [("f4", 1), ("f8", 255), ("u2", 65535)])
def test_colours_of_any_type_are_bytes_and_those_that_are_no_numbers_are_refused(tmp_path, kind, largest):
    folder = write_scan(tmp_path, "scene0000_00")
    cloud, scale = folder / "scene0000_00_vh_clean_2.ply", largest / 255

    def write(colours):
        names = [*((axis, "f4") for axis in "xyz"), *((name, kind) for name in ("red", "green", "blue"))]
        rows = np.array([(*point, *colour) for point, colour in zip(POINTS, colours)], names)
        PlyData([PlyElement.describe(rows, "vertex")], byte_order=">").write(str(cloud))

    write(np.array(COLOURS) * scale)
    np.testing.assert_array_equal(read_scan(folder).colours, COLOURS)
    if kind != "u2":
        write(np.array(COLOURS) * scale * [1, np.nan, 1])
        with pytest.raises(ValueError, match=r"_vh_clean_2\.ply has colours that are not finite"):
            read_scan(folder)


def test_splits_are_listed_in_their_order_and_a_missing_scene_is_named(tmp_path):
    folders = [write_scan(tmp_path, f"scene000{n}_00") for n in (2, 0, 1)]
    (tmp_path / "scannetv2_train.txt").write_bytes(b"scene0001_00\r\nscene0000_00\n\n")
    assert list_scans(tmp_path, "train") == [folders[2], folders[1]]
    assert list_scans(tmp_path) == [folders[1], folders[2], folders[0]]
    with pytest.raises(FileNotFoundError, match=r"scannetv2_val\.txt"):
        list_scans(tmp_path, "val")
    (tmp_path / "scannetv2_val.txt").write_text("scene0005_00\n")
    with pytest.raises(FileNotFoundError, match="names 1 scenes that are not in .*scene0005_00"):
        list_scans(tmp_path, "val")


def _other_segments(path):
    path.write_text(json.dumps({"segIndices": [1, 2]}))


@pytest.mark.parametrize(
    "file, damage, said",
    [
        ("_vh_clean_2.ply", cut(-40), "_vh_clean_2.ply is not a readable PLY file"),
        ("_vh_clean_2.ply", lambda path: path.unlink(), "no .*_vh_clean_2.ply, the cloud of the scene; get it"),
        ("_vh_clean_2.labels.ply", cut(-40), "labels.ply is not a readable PLY file"),
        ("_vh_clean_2.labels.ply", replace_bytes(b"ushort label", b"ushort labil"), "no property label"),
        ("_vh_clean_2.0.010000.segs.json", _other_segments, "segs.json has 2 segment numbers, .* 6 points"),
        ("_vh_clean_2.0.010000.segs.json", cut(20), "segs.json is damaged"),
        ("_vh_clean_2.0.010000.segs.json", replace_bytes(b"[3,", b"[3.5,"), "segs.json is damaged .*float64"),
        ("_vh_clean_2.0.010000.segs.json", replace_bytes(b"[3,", b"[-3,"), "segs.json is damaged .*from -3 to 9"),
        ("_vh_clean_2.0.010000.segs.json", replace_bytes(b"[3,", b"[1%s," % (b"0" * 30)), "segs.json is damaged"),
        (".aggregation.json", cut(20), "aggregation.json is damaged"),
        (".aggregation.json", replace_bytes(b'"objectId": 1', b'"objectId": -1'), "aggregation.json is damaged .*-1"),
        (".aggregation.json", replace_bytes(b'"objectId": 1', b'"objectId": 9999999999'), "aggregation.json is damag"),
        (".aggregation.json", lambda path: path.unlink(), "no .*aggregation.json; instances need it"),
        (".txt", replace_bytes(b"axisAlignment = 0 -1", b"axisAlignment = 0-1"), "has 15 words, expected 16 numbers"),
    ],
)
def test_a_damaged_scene_is_refused_by_name(tmp_path, file, damage, said):
    folder = write_scan(tmp_path, "scene0000_00")
    damage(folder / f"scene0000_00{file}")
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        read_scan(folder)


def test_labels_of_any_size_belong_to_no_class_without_a_table_as_large(tmp_path):
    folder = write_scan(tmp_path, "scene0000_00")
    labels = folder / "scene0000_00_vh_clean_2.labels.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 6\nproperty uint label\nend_header\n"
    labels.write_text(head + "1\n2\n39\n41\n65535\n4294967295\n")
    tracemalloc.start()
    found = read_scan(folder).labels.tolist()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [0, 1, 19, IGNORED, IGNORED, IGNORED]
    assert most < 2**24
    labels.write_text(head.replace("uint", "float") + "1\n2\n39\n41\n-2\n1\n")
    with pytest.raises(ValueError, match=r"labels\.ply: labels are float32, down to -2.0; expected whole numbers"):
        read_scan(folder)
    labels.write_text(head.replace("uint", "float").replace("vertex 6", "vertex 0"))
    with pytest.raises(ValueError, match=r"labels\.ply has 0 labels"):
        read_scan(folder)


def test_labels_of_another_length_are_refused(tmp_path):
    folder = write_scan(tmp_path, "scene0000_00")
    labels = folder / "scene0000_00_vh_clean_2.labels.ply"
    labels.write_text("ply\nformat ascii 1.0\nelement vertex 2\nproperty ushort label\nend_header\n1\n2\n")
    with pytest.raises(ValueError, match=r"labels\.ply has 2 labels, the cloud beside it 6 points"):
        read_scan(folder)
