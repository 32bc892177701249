"""The published layout of multi-view pre-training is validated."""

import pytest

from data import check_data
from tests.support.published_views import write_shape


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "ModelNet40"
    write_shape(folder, "bed/bed_1", 1)
    write_shape(folder, "bed/bed_2", 2, views=(0, 1))
    write_shape(folder, "bed/bed_3", 3, views=())
    (folder / "modelnet_id.txt").write_text("bed\t0\n")
    return folder


def check(root):
    return check_data.main(check_data.parse_args([str(root), "--workers", "1"]))


def test_what_is_sound_is_counted(root, capsys):
    assert check(root) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "clouds: 2, views a cloud: 2 .. 3 pairs of pixels and points: 1720 of 2 shapes, a view: 344 .. 344" in said
    assert "1 clouds without a view are left out: bed/bed_3" in said
    assert "1 shapes have fewer than 3 views, for which --views 3 refuses them" in said
    assert f"next: python -m scripts.pretrain_images --data_root {root}" in said


def test_each_fault_is_named(root, capsys):
    folder = root.parent / "ModelNet40_MV/bed/train"
    with (folder / "bed_2.off/pix_point_1.txt").open("a") as table:
        table.write("32 3 5\n")
    (folder / "bed_1.off/view_10.png").write_bytes(b"none")
    assert check(root) == 1
    said = capsys.readouterr().out
    assert "bed_2.off/pix_point_1.txt: pair 345 is 32 3 5, expected a row and a column below 32" in said
    assert "bed_1.off/view_10.png is not a readable picture" in said
    assert "2 faults; next: repair the files named" in said


def test_a_damaged_list_of_classes_is_a_fault(root, capsys):
    (root / "modelnet_id.txt").write_text("bed 0\n")
    assert check(root) == 1
    assert "expected a name, a tab and a number a line" in capsys.readouterr().out
