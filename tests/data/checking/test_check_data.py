import json
import shlex
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

import train_crosspoint
from data.check_data import check_all
from datasets.parts.part_table import part_table
from datasets.transforms.point_transforms import unit_sphere
from scripts import eval_svm
from tests.support.check_helpers import check, report_on
from tests.support.part_runs import write_part_tree
from tests.support.pickled_jobs import PickledPool
from tests.support.tiny_trees import (
    cloud,
    labelled,
    pack,
    write_all,
    write_extras,
    write_h5,
    write_modelnet40,
    write_shapenet,
    write_shapenet_part,
)
from utils.pretraining.program import PretrainingSettings, open_pairs
from utils.settings import read_all


@pytest.fixture
def root(tmp_path):
    """All four layouts, sound and tiny."""
    return write_all(tmp_path)


def sound(root, capsys, *flags):
    """The printed text on data without a fault."""
    status, text = check(root, capsys, *flags)
    assert status == 0
    return text


def test_a_sound_tree_is_described_and_the_training_command_named(root, capsys):
    text = sound(root, capsys)
    assert "clouds: 3 in 2 folders, points a cloud: 97" in text
    assert "views a cloud: 3; pictures: 9, sizes (width x height): 16x16" in text
    assert "shapes by folder: 02 2, 03 1" in text
    assert "stored: 97 points, data float32, label uint8, pid uint8" in text
    assert "3 classes, labels 0 .. 2; clouds of each (train/test): cone 2/1, cube 2/1, ball 2/1" in text
    assert f"no faults; next: python train_crosspoint.py --data_root {root}" in text
    assert "--batch_size 3 --num_points 97" in text  # the published 20 and 2048 would not fit three clouds of 97


def test_the_training_command_runs_for_a_folder_with_a_space(tmp_path, capsys):
    root = write_shapenet(tmp_path / "my data", ["02/a", "02/b"], num_points=64, size=32)
    command = shlex.split(check(root, capsys)[1].split("next: python ")[1].splitlines()[0])
    assert command[0] == "train_crosspoint.py"
    args = train_crosspoint.parse_args([*command[1:], "--image_size", "32", "--num_workers", "0"])
    loader, _ = open_pairs(read_all(PretrainingSettings, vars(args)), pin_memory=False)
    assert len(loader) == 1


@pytest.mark.parametrize("has_parts", [False, True])
def test_far_clouds_are_read_with_normalize_where_the_next_command_takes_it(has_parts, tmp_path, capsys):
    folder = write_shapenet_part(tmp_path) if has_parts else write_modelnet40(tmp_path)
    assert "--normalize" not in check(tmp_path, capsys)[1]
    for path in folder.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            file["data"][...] += np.float32(1000)
    text = check(tmp_path, capsys)[1]
    assert "clouds lie more than 16 times their size from the origin" in text
    command = text.split("next: python ")[1].splitlines()[0]
    assert ("read with --normalize" in text, command.endswith(" --normalize")) == (not has_parts, not has_parts)
    if not has_parts:
        assert eval_svm.parse_args(shlex.split(command)[2:]).normalize


def test_one_shape_alone_is_not_sent_to_training(tmp_path, capsys):
    assert "train_crosspoint" not in check(write_shapenet(tmp_path, ["02/a"]), capsys)[1]


def test_every_layout_below_the_root_is_found(root):
    assert [report.title for report in check_all(root, workers=1)[0]] == [
        "ShapeNet + ShapeNetRendering",
        "ScanObjectNN obj_bg",
        "ScanObjectNN obj_only",
        "ScanObjectNN hardest",
        "ModelNet40 layout",
        "ShapeNetPart",
    ]


def test_several_processes_report_the_same_as_one(root, monkeypatch):
    (root / "ShapeNet" / "02" / "a.ply").write_text("ply")
    monkeypatch.setattr("data.parallel.ProcessPoolExecutor", PickledPool)
    alone, together = (check_all(root, workers=workers)[0] for workers in (1, 2))
    assert [(r.facts, r.notes, r.faults) for r in alone] == [(r.facts, r.notes, r.faults) for r in together]


def test_a_folder_of_shards_can_be_given_itself(root, capsys):
    folder = root / "modelnet40_ply_hdf5_2048"
    command = f"python -m scripts.eval_svm --random_init --dataset modelnet40 --data_root {folder}"
    assert command in sound(folder, capsys)


def test_clouds_are_counted_and_compared_with_the_published_split(root, monkeypatch):
    counts = report_on(root, "ModelNet40").facts[0]
    assert counts.startswith("clouds: train 6, test 3; not the published split (train 9840, test 2468)")
    monkeypatch.setattr("data.checking.find_sets.MODELNET40_PUBLISHED", {"train": 6, "test": 3})
    assert report_on(root, "ModelNet40").facts[0] == "clouds: train 6, test 3 (the published split)"


@pytest.mark.parametrize(
    "title, published",
    [
        ("ScanObjectNN obj_bg", "(train 2309, test 581)"),
        ("ScanObjectNN hardest", "(train 11416, test 2882)"),
        ("ShapeNetPart", "(train 12137, val 1870, test 2874)"),
    ],
)
def test_each_set_knows_its_published_sizes(root, title, published):
    assert published in report_on(root, title).facts[0]


def write_pair(folder, points):
    """The same clouds as train and test of a set in ModelNet40's layout, one class each."""
    for split in ("train", "test"):
        write_h5(folder / f"ply_data_{split}0.h5", data=points.astype(np.float32), label=np.arange(len(points)))


def facts_on(folder, points):
    """What is found out about clouds, a line each."""
    write_pair(folder, points)
    return "\n".join(report_on(folder, "ModelNet40").facts)


def standing(axis):
    """Eight clouds, bottom heavy along one axis; along the others wide apart and equal to their mirror images."""
    rng = np.random.default_rng(0)
    height = rng.random((8, 97, 1)) ** 2
    wide = rng.choice([0.0, 1.0], (8, 97, 2)) + 0.1 * rng.random((8, 97, 2))
    points = np.concatenate([height, wide], axis=2)
    mirrored = np.concatenate([height, 1.1 - wide], axis=2)
    return np.roll(np.concatenate([points, mirrored], axis=1), axis, axis=2)


def test_a_unit_sphere_is_recognised(tmp_path):
    points = unit_sphere(np.stack([cloud(seed) for seed in range(4)]))
    assert "unit sphere about the centroid; radius 1 .. 1 (median 1)" in facts_on(tmp_path, points)


def test_boxes_of_unit_diagonal_are_recognised_though_samples_fall_short_of_them(tmp_path):
    points = np.stack([cloud(seed, 4000) - [5.0, -1.0, 0.5] for seed in range(4)]) / 14**0.5  # a box of 2 x 3 x 1
    points[0] *= 0.5  # one mesh has a far corner that no sample hit
    assert "unit diagonal of the bounding box" in facts_on(tmp_path, points)
    assert "not normalised" in facts_on(tmp_path, points * 1.1)


def test_extents_are_given_in_radii_so_that_scale_does_not_matter(tmp_path):
    points = np.stack([cloud(seed) for seed in range(4)])
    x, y, z = np.ptp(unit_sphere(points), axis=1).mean(axis=0)
    scaled = points * np.array([1, 10, 0.1, 100])[:, None, None]
    assert f"mean extent in radii: x {x:.3g}, y {y:.3g}, z {z:.3g}" in facts_on(tmp_path, scaled).splitlines()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_along_which_clouds_stand_is_the_up_axis(tmp_path, axis):
    assert f"up-axis: probably {'xyz'[axis]}" in facts_on(tmp_path, standing(axis))


def test_sets_that_stand_along_different_axes_are_pointed_out(tmp_path, capsys):
    write_pair(tmp_path / "y_up", standing(1))
    write_pair(tmp_path / "z_up", standing(2))
    text = check(tmp_path, capsys)[1]
    assert f"look upright along different axes (ModelNet40 layout in {tmp_path}/y_up y, " in text


def test_class_names_beside_the_folders_of_scanobjectnn_are_used(root, capsys):
    (root / "ScanObjectNN" / "shape_names.txt").write_text("\n".join(f"thing_{i}" for i in range(16)))
    assert "16 classes, labels 0 .. 14; clouds of each (train/test): thing_0 1/1, thing_1 0/0" in check(root, capsys)[1]


def test_equal_clouds_are_noted_and_are_no_fault(root, capsys):
    shutil.copy(root / "ShapeNet" / "02" / "a.ply", root / "ShapeNet" / "03" / "c.ply")
    with h5py.File(root / "modelnet40_ply_hdf5_2048" / "ply_data_test0.h5", "r+") as file:
        file["data"][2] = labelled([0])["data"][0]
    text = sound(root, capsys)
    assert f"note: equal clouds: {root}/ShapeNet/02/a.ply = {root}/ShapeNet/03/c.ply" in text
    assert "note: equal clouds: ply_data_train0.h5 row 0 = ply_data_test0.h5 row 2" in text


def test_renders_without_a_cloud_are_noted(root, capsys):
    (root / "ShapeNet" / "03" / "c.ply").unlink()
    assert f"note: {root}/ShapeNetRendering/03/c: renders without a cloud" in sound(root, capsys)


def test_blank_and_opaque_pictures_are_noted(root, capsys):
    folder = root / "ShapeNetRendering" / "02" / "a" / "rendering"
    Image.new("RGBA", (16, 16), (9, 9, 9, 0)).save(folder / "00.png")
    Image.new("RGB", (16, 16)).save(folder / "01.png")
    text = sound(root, capsys)
    assert f"{folder}/00.png: nothing to see" in text
    assert "note: 1 pictures have no alpha" in text


def test_cameras_and_depth_are_counted(root, capsys):
    write_extras(root / "ShapeNetRendering" / "02" / "a")
    text = sound(root, capsys)
    assert "cameras and depth: cameras.npz for 1 of 3, depth.npz for 1 of 3 shapes" in text
    assert "note: 2 shapes have no cameras.npz: 02/b, 03/c" in text


def test_max_listed_shortens_the_lists_and_says_so(root, capsys):
    for view in (root / "ShapeNetRendering" / "02" / "a" / "rendering").iterdir():
        view.write_bytes(b"")
    text = check(root, capsys, "--max_listed", "1")[1]
    assert text.count("FAULT: ") == 2
    assert "FAULT: and 2 more; list them with --max_listed 3" in text


def test_clouds_without_any_render_folder_are_one_fault(root):
    shutil.rmtree(root / "ShapeNetRendering")
    (fault,) = report_on(root, "ShapeNet +").faults
    assert "no folder" in fault


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_to_check_says_what_was_looked_for_and_what_to_run(tmp_path, exists):
    with pytest.raises(FileNotFoundError, match=r"python -m data\.make_shapes --out data/shapes") as caught:
        check_all(tmp_path if exists else tmp_path / "absent", workers=1)
    assert "bash data/download_data.sh all" in str(caught.value)
    assert not exists or "ply_data_*.h5" in str(caught.value)


def test_real_shards_are_sound(shared, capsys):
    text = sound(shared / "realdata" / "h5", capsys)
    assert "clouds: train 1989, test 494; not the published split" in text
    assert "69 classes, labels 0 .. 68" in text


def test_parts_of_your_own_are_checked_by_their_table(tmp_path, capsys):
    names = {"drill": ["bit", "body"], "saw": ["blade", "handle", "guard"], "vice": ["jaw"]}
    table = tmp_path / "tools.json"
    table.write_text(json.dumps(names))
    folder = write_part_tree(tmp_path, part_table(names), (0, 1, 2)) / "shapenet_part_seg_hdf5_data"
    text = sound(tmp_path, capsys, "--parts", str(table))
    assert "3 classes, labels 0 .. 2; clouds of each (train/val/test): drill 3/1/3, saw 3/0/1, vice 2/1/1" in text
    assert f"no faults; next: python train_partseg.py --data_root {folder} --parts {table}" in text
    assert "categories and parts of your own are named by --parts" in check(tmp_path, capsys)[1]
    table.write_text(json.dumps(names | {"drill": ["bit", "chuck", "body"], "saw": ["blade", "handle"]}))
    status, text = check(tmp_path, capsys, "--parts", str(table))
    assert status == 1
    assert "is no part of saw (3 .. 4); correct it or the file of --parts" in text
    assert f"next: make these files again, or correct {table}" in text
    with pytest.raises(ValueError, match=r"tools\.json: no ply_data_\*\.h5 with part labels \(pid\) below"):
        check_all(write_shapenet(tmp_path / "other"), 1, table)


def test_a_packed_file_is_checked(tmp_path, capsys):
    path = pack(write_shapenet(tmp_path / "tree"), tmp_path / "all.h5")
    text = sound(path, capsys)
    assert "clouds: 3, points a cloud: 97 .. 97" in text
    assert "views: 9, sizes (width x height): 16x16" in text
    assert f"next: python train_crosspoint.py --packed {path}" in text
    assert "--batch_size 3 --num_points 97" in text


def test_every_fault_of_a_packed_file_is_named(tmp_path, capsys):
    root = write_shapenet(tmp_path / "tree")
    path = pack(root, tmp_path / "all.h5")
    with h5py.File(path, "r+") as file:
        file["points"][0, 0] += 1
        file["pixels"][file["view/pixels"][3] - 1] ^= 1
    status, text = check(path, capsys)
    assert status == 1
    assert "the cloud of 02/a has another checksum" in text
    assert "view 02.png of 02/a" in text
    assert f"packed pairs: 2 faults; next: python -m data.pack {root} --out {path} --overwrite" in text
    path.write_bytes(path.read_bytes()[:1000])
    status, text = check(path, capsys)
    assert status == 1
    assert "--overwrite" not in text  # it may be anything


def test_a_packed_file_of_one_shape_is_too_small_to_train_on(tmp_path, capsys):
    path = pack(write_shapenet(tmp_path / "tree", ("02/a",)), tmp_path / "all.h5")
    text = sound(path, capsys)
    assert "pre-training compares at least 2" in text
    assert "train_crosspoint.py" not in text
