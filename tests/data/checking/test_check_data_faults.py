"""Each way in which data can be at fault, and what data.check_data says of it."""

import shutil

import numpy as np
import pytest

from tests.support.check_helpers import check, report_on
from tests.support.damage import cut, entry, replace_bytes, stored
from tests.support.tiny_trees import cloud, write_all, write_extras, write_ply

CLOUD, RENDERS = "ShapeNet/02/a.ply", "ShapeNetRendering/02/a"
MODELNET40, SCANS, PARTS = "modelnet40_ply_hdf5_2048", "ScanObjectNN/main_split", "shapenet_part_seg_hdf5_data"


@pytest.fixture
def root(tmp_path):
    """All four layouts, sound and tiny."""
    return write_all(tmp_path)


def extras(**changes):
    return lambda folder: write_extras(folder, **changes)


def spoil_npz(path):
    path.write_bytes(b"PK\x03\x04 no zip")


def remove_views(path):
    shutil.rmtree(path.parents[2] / RENDERS / "rendering")


def remove_split(folder):
    (folder / "ply_data_test0.h5").unlink()


def rename_shard(folder):
    (folder / "ply_data_train1.h5").rename(folder / "ply_data_extra.h5")


POINT, NO_POINT = cloud(0)[3].tobytes(), np.full(3, np.nan, np.float32).tobytes()
BAD_PICTURE = ("ShapeNetRendering/03/c/rendering/02.png", cut(-40), "is not a readable picture")
NO_VIEWS = (CLOUD, remove_views, "no picture in")
BAD_LABEL = (f"{MODELNET40}/ply_data_train1.h5", entry("label", 1, 3), "label 3 in row 1 is outside 0 .. 2")
BAD_ROW = (f"{SCANS}_nobg/test_objectdataset.h5", entry("data", (2, 5), np.inf), "row 2 has points that are not finite")
FAULTS = [
    (CLOUD, cut(-7), "is not a readable PLY file"),
    (CLOUD, replace_bytes(POINT, NO_POINT), "not finite"),
    (CLOUD, lambda path: write_ply(path, np.ones((97, 3), np.float32)), "has no size"),
    BAD_PICTURE,
    NO_VIEWS,
    (RENDERS, extras(intrinsics=np.ones((2, 3, 3))), "cameras.npz: intrinsics has shape (2, 3, 3), expected (3, 3, 3)"),
    (RENDERS, extras(size=np.array([16, 17])), "cameras.npz: size is [16, 17], the pictures have [16, 16]"),
    (RENDERS, extras(extrinsics=np.full((3, 4, 4), np.nan)), "cameras.npz: extrinsics not finite"),
    (RENDERS, extras(depth=np.ones((3, 16, 15), "u2")), "depth.npz: depth has shape (3, 16, 15), expected (3, 16, 16)"),
    (f"{RENDERS}/depth.npz", spoil_npz, "is no .npz file without pickled objects"),
    (f"{MODELNET40}/ply_data_test0.h5", stored(label=None), "has no 'label'"),
    BAD_LABEL,
    (MODELNET40, rename_shard, "ply_data_extra.h5: of no split, expected ply_data_train*.h5 or ply_data_test*.h5"),
    BAD_ROW,
    (f"{SCANS}/test_objectdataset.h5", entry("data", 1, 0), "row 1 has no size"),
    (f"{PARTS}/ply_data_val0.h5", entry("pid", (0, 0), 4), "pid 4 in row 0 is no part of airplane"),
    (f"{PARTS}/ply_data_train0.h5", cut(500), "is not a readable HDF5 file"),
    (PARTS, remove_split, "no file of the split test"),
]


@pytest.mark.parametrize("name, damage, problem", FAULTS, ids=[fault[-1] for fault in FAULTS])
def test_a_file_at_fault_is_named_and_the_status_is_one(root, capsys, name, damage, problem):
    damage(root / name)
    status, text = check(root, capsys)
    (line,) = [line for line in text.splitlines() if line.startswith("  FAULT: ")]
    assert status == 1
    assert str(root / name) in line
    assert problem in line
    assert "1 faults; next: " in text
    assert "no faults" not in text


def test_every_fault_of_one_run_is_named(root, capsys):
    faults = [BAD_PICTURE, NO_VIEWS, BAD_LABEL, BAD_ROW]
    for name, damage, _ in faults:
        damage(root / name)
    lines = [line for line in check(root, capsys)[1].splitlines() if line.startswith("  FAULT: ")]
    assert len(lines) == 4
    assert all(any(str(root / name) in line for line in lines) for name, *_ in faults)


def test_a_set_whose_shards_are_all_of_no_split_is_reported(root):
    folder = root / MODELNET40
    for path in folder.glob("*.h5"):
        path.rename(folder / path.name.replace("ply_data_", "ply_data_my_"))
    assert len(report_on(root, "ModelNet40").faults) == 3
