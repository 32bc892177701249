"""python -m data.pack: whole or nothing, every fault named."""

import re
import shutil
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
from PIL import Image

from data import pack
from data.storage import packed_writer
from datasets.pairs.packed_file import PackedFile
from tests.support.damage import cut
from tests.support.pickled_jobs import PickledPool
from tests.support.tiny_trees import cloud, write_pairs, write_ply, write_shapenet
from utils.files import locked


@pytest.fixture
def root(tmp_path):
    """Three shapes of 97 points with three views of 16 pixels each."""
    return write_shapenet(tmp_path / "tree")


def run(root, *flags):
    return pack.main(pack.parse_args([str(root), "--workers", "1", *flags]))


def packed(root):
    assert run(root) == 0
    return PackedFile(root / "shapenet_render.h5")


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_the_file_lies_in_the_root_and_says_what_it_holds_and_where_it_comes_from(root, capsys):
    file, path, out = packed(root), root / "shapenet_render.h5", capsys.readouterr().out
    assert f"wrote {path}: 3 shapes, 291 points, 9 views" in out
    assert f"python train_crosspoint.py --data_root {root} --packed {path}" in out
    assert "--batch_size 3 --num_points 97" in out
    assert len(file) == 3
    assert names_in(root) == {"ShapeNet", "ShapeNetRendering", path.name}
    assert path.stat().st_mode & 0o444 == 0o444
    assert file.provenance["root"] == str(root.resolve())
    assert {"format", "version", "command", "commit", "machine", "python", "torch"} <= file.provenance.keys()


def test_pairs_are_inside_where_all_shapes_have_them(root, capsys):
    write_pairs(root)
    file = packed(root)
    pairs = sum(len(file.read_pairs(shape).point) for shape in range(3))
    assert f"with {pairs} pairs of pixels and points" in capsys.readouterr().out
    (root / "ShapeNetRendering/02/b/pairs.npz").unlink()
    assert run(root, "--overwrite") == 0
    assert re.search("without pairs .* not all shapes have; to add them: run the command", capsys.readouterr().out)
    assert not PackedFile(root / "shapenet_render.h5").has_pairs


def test_a_damaged_table_of_pairs_is_a_fault(root, capsys):
    write_pairs(root)
    cut(-40)(root / "ShapeNetRendering/02/b/pairs.npz")
    assert run(root) == 1
    assert re.search(r"FAULT: \S*02/b/pairs\.npz is no table of pairs", capsys.readouterr().err)
    assert names_in(root) == {"ShapeNet", "ShapeNetRendering"}


def test_several_processes_write_the_same(root, tmp_path, monkeypatch):
    run(root, "--out", str(tmp_path / "one.h5"))
    monkeypatch.setattr("data.parallel.ProcessPoolExecutor", PickledPool)
    run(root, "--out", str(tmp_path / "two.h5"), "--workers", "2")
    with h5py.File(tmp_path / "one.h5") as one, h5py.File(tmp_path / "two.h5") as two:
        arrays = []
        one.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
        assert len(arrays) == 9
        assert all(np.array_equal(one[name][:], two[name][:]) for name in arrays)


def test_pieces_of_large_arrays_join(root, monkeypatch):
    monkeypatch.setattr(packed_writer, "_PIECE", 100)
    np.testing.assert_array_equal(packed(root).read_points(2), cloud(2))


def test_a_file_is_replaced_only_when_asked(root):
    run(root)
    path = root / "shapenet_render.h5"
    before = path.read_bytes()
    write_ply(root / "ShapeNet" / "02" / "a.ply", cloud(9))
    with pytest.raises(FileExistsError, match=r"shapenet_render\.h5 exists; .*--overwrite"):
        run(root)
    assert path.read_bytes() == before
    run(root, "--overwrite")
    np.testing.assert_array_equal(PackedFile(path).read_points(0), cloud(9))


def test_a_link_stays_one_and_its_file_is_replaced(root, tmp_path):
    run(root, "--out", str(tmp_path / "disk.h5"))
    link = tmp_path / "link.h5"
    link.symlink_to("disk.h5")
    before = (tmp_path / "disk.h5").stat().st_ino
    run(root, "--out", str(link), "--overwrite")
    assert link.is_symlink()
    assert (tmp_path / "disk.h5").stat().st_ino != before


def test_a_file_of_others_is_not_offered_for_replacement(root, tmp_path):
    (tmp_path / "thesis.h5").write_text("all my work")
    with pytest.raises(FileExistsError, match=r"thesis\.h5 exists; choose another --out; data\.pack did not write"):
        run(root, "--out", str(tmp_path / "thesis.h5"))


def test_every_fault_is_named_and_nothing_is_written(root, capsys):
    views = root / "ShapeNetRendering"
    (views / "02" / "a" / "rendering" / "01.png").write_bytes(b"no picture")
    (views / "02" / "a" / "rendering" / "02.png").write_bytes(b"")
    (root / "ShapeNet" / "02" / "b.ply").write_text("no cloud")
    write_ply(root / "ShapeNet" / "03" / "c.ply", np.ones((97, 3), np.float32))
    for view in (views / "03" / "c" / "rendering").iterdir():
        view.unlink()
    assert run(root) == 1
    error = capsys.readouterr().err
    for name in ("a/rendering/01.png", "a/rendering/02.png", "b.ply is not", "c.ply: all points", "c.ply: no picture"):
        assert sum(name in line for line in error.splitlines()) == 1, name
    assert "5 faults, nothing written" in error
    assert names_in(root) == {"ShapeNet", "ShapeNetRendering"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_the_old_file_and_nothing_else(root, monkeypatch, error):
    run(root)
    before = (root / "shapenet_render.h5").read_bytes()
    monkeypatch.setattr(packed_writer, "_index", Mock(side_effect=error))
    with pytest.raises(error):
        run(root, "--overwrite")
    assert (root / "shapenet_render.h5").read_bytes() == before
    assert names_in(root) == {"ShapeNet", "ShapeNetRendering", "shapenet_render.h5"}


def test_what_a_kill_leaves_behind_the_next_run_removes(root, tmp_path, monkeypatch):
    killed = tmp_path / "killed"

    def killed_now(*_):
        shutil.copytree(root, killed)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packed_writer, "_index", killed_now)
        with pytest.raises(KeyboardInterrupt):
            run(root)
    assert len(names_in(killed)) == 4
    run(killed)
    assert names_in(killed) == {"ShapeNet", "ShapeNetRendering", "shapenet_render.h5"}


def test_two_processes_do_not_write_one_file(root):
    with locked(root / "shapenet_render.h5"), pytest.raises(FileExistsError, match="another data.pack is writing"):
        run(root)


def test_a_picture_wider_than_16_bits_is_stored(root):
    Image.new("RGB", (70_000, 1)).save(root / "ShapeNetRendering" / "02" / "a" / "rendering" / "00.png")
    assert packed(root).read_view(0, 0).shape == (1, 70_000, 3)


def test_a_folder_as_out_and_an_empty_root_are_refused(root, tmp_path):
    with pytest.raises(IsADirectoryError, match=r"--out .* is a folder; name a file in it"):
        run(root, "--out", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no clouds"):
        run(tmp_path, "--out", str(tmp_path / "a.h5"))


def test_one_shape_is_too_few_to_train_on(tmp_path, capsys):
    run(write_shapenet(tmp_path / "tree", ("02/a",)))
    assert "next: pack more shapes, pre-training compares at least 2" in capsys.readouterr().out
