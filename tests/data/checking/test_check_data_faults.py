"""Each way in which data can be at fault, and what data.check_data says of it."""

import shutil

import h5py
import numpy as np
import pytest

from tests.support.check_helpers import check, report_on
from tests.support.tiny_trees import cloud, write_all, write_extras, write_ply


@pytest.fixture
def root(tmp_path):
    """All four layouts, sound and tiny."""
    return write_all(tmp_path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"intrinsics": np.ones((2, 3, 3))}, r"cameras.npz: intrinsics has shape (2, 3, 3), expected (3, 3, 3)"),
        ({"size": np.array([16, 17])}, "cameras.npz: size is [16, 17], the pictures have [16, 16]"),
        ({"extrinsics": np.full((3, 4, 4), np.nan)}, "cameras.npz: extrinsics not finite"),
        ({"depth": np.ones((3, 16, 15), np.uint16)}, "depth.npz: depth has shape (3, 16, 15), expected (3, 16, 16)"),
    ],
)
def test_cameras_and_depth_that_do_not_fit_the_pictures_are_faults(root, changes, message):
    write_extras(root / "ShapeNetRendering" / "02" / "a", **changes)
    (fault,) = report_on(root, "ShapeNet +").faults
    assert message in fault


def test_a_damaged_npz_is_a_fault(root):
    path = root / "ShapeNetRendering" / "02" / "a" / "depth.npz"
    path.write_bytes(b"PK\x03\x04 no zip")
    (fault,) = report_on(root, "ShapeNet +").faults
    assert f"{path} is no .npz file without pickled objects" in fault


def break_cloud(root):
    path = root / "ShapeNet" / "02" / "a.ply"
    path.write_bytes(path.read_bytes()[:-7])
    return path, "is not a readable PLY file"


def break_finite(root):
    points = cloud(0)
    points[3, 2] = np.nan
    return write_ply(root / "ShapeNet" / "02" / "a.ply", points), "not finite"


def break_size(root):
    return write_ply(root / "ShapeNet" / "02" / "a.ply", np.ones((97, 3), np.float32)), "has no size"


def break_picture(root):
    path = root / "ShapeNetRendering" / "03" / "c" / "rendering" / "02.png"
    path.write_bytes(path.read_bytes()[:-40])
    return path, "is not a readable picture"


def break_views(root):
    shutil.rmtree(root / "ShapeNetRendering" / "02" / "b" / "rendering")
    return root / "ShapeNet" / "02" / "b.ply", "no picture in"


def break_key(root):
    path = root / "modelnet40_ply_hdf5_2048" / "ply_data_test0.h5"
    with h5py.File(path, "r+") as file:
        del file["label"]
    return path, "has no 'label'"


def break_label(root):
    path = root / "modelnet40_ply_hdf5_2048" / "ply_data_train1.h5"
    with h5py.File(path, "r+") as file:
        file["label"][1] = 3
    return path, "label 3 in row 1 is outside 0 .. 2"


def break_row(root):
    path = root / "ScanObjectNN" / "main_split_nobg" / "test_objectdataset.h5"
    with h5py.File(path, "r+") as file:
        file["data"][2, 5] = np.inf
    return path, "row 2 has points that are not finite"


def break_flat_row(root):
    path = root / "ScanObjectNN" / "main_split" / "test_objectdataset.h5"
    with h5py.File(path, "r+") as file:
        file["data"][1] = 0
    return path, "row 1 has no size"


def break_part(root):
    path = root / "shapenet_part_seg_hdf5_data" / "ply_data_val0.h5"
    with h5py.File(path, "r+") as file:
        file["pid"][0, 0] = 4
    return path, "pid 4 in row 0 is no part of airplane"


def break_shard(root):
    path = root / "shapenet_part_seg_hdf5_data" / "ply_data_train0.h5"
    path.write_bytes(path.read_bytes()[:500])
    return path, "is not a readable HDF5 file"


def break_split(root):
    (root / "shapenet_part_seg_hdf5_data" / "ply_data_test0.h5").unlink()
    return root / "shapenet_part_seg_hdf5_data", "no file of the split test"


BREAKS = [
    break_cloud,
    break_finite,
    break_size,
    break_picture,
    break_views,
    break_key,
    break_label,
    break_row,
    break_flat_row,
    break_part,
    break_shard,
    break_split,
]


@pytest.mark.parametrize("break_it", BREAKS)
def test_a_file_at_fault_is_named_and_the_status_is_one(root, capsys, break_it):
    path, problem = break_it(root)
    status, text = check(root, capsys)
    (line,) = [line for line in text.splitlines() if line.startswith("  FAULT: ")]
    assert status == 1
    assert str(path) in line
    assert problem in line
    assert "1 faults; next: " in text
    assert "no faults" not in text


def test_every_fault_of_one_run_is_named(root, capsys):
    names = [
        path.name for path, _ in (break_it(root) for break_it in (break_picture, break_views, break_label, break_row))
    ]
    faults = [line for line in check(root, capsys)[1].splitlines() if line.startswith("  FAULT: ")]
    assert len(faults) == 4
    assert all(any(name in fault for fault in faults) for name in names)


def test_a_shard_of_no_split_is_a_fault(root):
    folder = root / "modelnet40_ply_hdf5_2048"
    (folder / "ply_data_train1.h5").rename(folder / "ply_data_extra.h5")
    (fault,) = report_on(root, "ModelNet40").faults
    assert "ply_data_extra.h5: of no split, expected ply_data_train*.h5 or ply_data_test*.h5" in fault


def test_a_set_whose_shards_are_all_of_no_split_is_reported(root):
    folder = root / "modelnet40_ply_hdf5_2048"
    for path in folder.glob("*.h5"):
        path.rename(folder / path.name.replace("ply_data_", "ply_data_my_"))
    assert len(report_on(root, "ModelNet40").faults) == 3
