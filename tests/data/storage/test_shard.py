"""python -m data.shard: every pass over every shape, the same bytes again, whole or nothing."""

import fcntl
import gc
import os
import re
import shutil
import tarfile

import numpy as np
import pytest
import webdataset

from data import shard
from data.storage import shard_writer
from data.storage.shard_writer import UNFINISHED
from datasets.pairs.packed_file import PackedFile
from datasets.shards.shard_source import ShardSource
from tests.support.damage import flip
from tests.support.pickled_jobs import PickledPool
from tests.support.tiny_shards import make_tree, read_pass, read_shard
from tests.support.tiny_trees import pack, write_pairs

SHAPES = 11


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Eleven shapes of 97 points with three views of 16 pixels each."""
    return make_tree(tmp_path_factory.mktemp("tree"), SHAPES)


@pytest.fixture(scope="module")
def packed(root, tmp_path_factory):
    return pack(root, tmp_path_factory.mktemp("packed") / "all.h5")


def run(root, out, *flags):
    return shard.main(shard.parse_args([str(root), "--out", str(out), "--workers", "1", *flags]))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.tar")}


def test_what_was_written_is_reported(root, tmp_path, capsys):
    assert run(root, tmp_path / "s", "--views", "2", "--samples_per_shard", "4") == 0
    out = capsys.readouterr().out
    assert re.search(r"wrote .*s: 11 shapes, 2 passes with a view of each, 6 shards, 0\.\d MiB", out)
    assert f"train_crosspoint.py --data_root {root} --shards {tmp_path / 's'} " in out
    index = ShardSource(tmp_path / "s").load_index()
    assert [[one.samples for one in shards] for shards in index.passes] == [[4, 4, 3], [4, 4, 3]]
    assert (index.shapes, index.fewest_points, index.most_points, index.view_sizes) == (11, 97, 97, [(16, 16, 4)])
    assert {"origin", "command", "commit", "machine"} <= index.provenance.keys()
    assert not (tmp_path / "s" / UNFINISHED).exists()


def test_every_pass_holds_every_shape_with_another_view(root, packed, tmp_path):
    run(root, tmp_path / "s", "--samples_per_shard", "4")
    file = PackedFile(packed)
    passes = [read_pass(tmp_path / "s", number) for number in range(3)]
    for shape in range(SHAPES):
        views = []
        for samples in passes:
            name, view = bytes(samples[shape].name).decode().split(" ")
            assert name == file.name(shape)
            views.append([file.view_name(shape, i) for i in range(3)].index(view))
            np.testing.assert_array_equal(samples[shape].read_points(), file.read_points(shape))
            np.testing.assert_array_equal(samples[shape].read_view(10**6), file.read_view(shape, views[-1]))
        assert sorted(views) == [0, 1, 2]


def test_passes_and_seeds_order_shapes_and_views_differently(root, tmp_path):
    orders, views = [], []
    for seed in ("0", "1"):
        run(root, tmp_path / seed, "--seed", seed)
        for number in (0, 1):
            samples = read_pass(tmp_path / seed, number)
            orders.append(list(samples))
            views.append([bytes(samples[shape].name)[-6:] for shape in range(SHAPES)])
    for each in (orders, views):
        assert all(a != b for i, a in enumerate(each) for b in each[:i])


def test_a_packed_file_several_processes_and_another_day_give_the_same_bytes(root, packed, tmp_path, monkeypatch):
    flags = ("--samples_per_shard", "4", "--views", "2")
    run(root, tmp_path / "a", *flags)
    monkeypatch.setattr("data.parallel.ProcessPoolExecutor", PickledPool)
    run(packed, tmp_path / "b", *flags, "--workers", "2")
    assert len(contents(tmp_path / "a")) == 6
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_pairs_are_inside_where_all_shapes_have_them(root, tmp_path, capsys):
    tree = write_pairs(shutil.copytree(root, tmp_path / "tree"))
    assert run(tree, tmp_path / "a", "--views", "1", "--samples_per_shard", "4") == 0
    assert "\nwith pairs of pixels and points" in capsys.readouterr().out
    run(pack(tree, tmp_path / "all.h5"), tmp_path / "b", "--views", "1", "--samples_per_shard", "4")
    assert len(contents(tmp_path / "a")) == 3
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    run(root, tmp_path / "c", "--views", "1")
    for data in (tree, tmp_path / "all.h5"):
        assert run(data, tmp_path / "d", "--views", "1", "--no_pairs", "--overwrite") == 0
        assert "\nwithout pairs of pixels and points" in capsys.readouterr().out
        assert contents(tmp_path / "d") == contents(tmp_path / "c")
    next(tree.rglob("pairs.npz")).unlink()
    run(tree, tmp_path / "d", "--views", "1", "--overwrite")
    assert contents(tmp_path / "d") == contents(tmp_path / "c")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves files open
def test_webdataset_and_tarfile_read_them(root, packed, tmp_path):
    run(root, tmp_path / "s", "--views", "1", "--samples_per_shard", "6")
    file, urls = PackedFile(packed), sorted(map(str, (tmp_path / "s").glob("*.tar")))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    gc.collect()
    assert len(samples) == SHAPES
    for sample in samples:
        shape = int(sample["__key__"].split("-")[0])
        np.testing.assert_array_equal(sample["points.npy"], file.read_points(shape))
        name, view = sample["name.txt"].split(" ")
        assert name == file.name(shape)
        number = [file.view_name(shape, i) for i in range(3)].index(view)
        np.testing.assert_array_equal(sample["view.npy.gz"], file.read_view(shape, number))
    with tarfile.open(urls[0]) as tar:
        assert {(member.mtime, member.uid, member.mode) for member in tar} == {(0, 0, 0o644)}


def test_shards_are_replaced_only_when_asked(root, tmp_path):
    run(root, tmp_path / "s", "--seed", "1")
    before = contents(tmp_path / "s")
    with pytest.raises(FileExistsError, match="holds shards; .*--overwrite"):
        run(root, tmp_path / "s", "--seed", "2")
    assert contents(tmp_path / "s") == before
    run(root, tmp_path / "s", "--seed", "2", "--overwrite", "--views", "1")
    assert len(contents(tmp_path / "s")) == 1 < len(before)


def test_an_interrupted_run_leaves_no_index_and_the_next_one_starts_clean(root, tmp_path, monkeypatch):
    write, written = shard_writer.write_atomically, []

    def interrupt(path, fill):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, fill)

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "write_atomically", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(root, tmp_path / "s", "--samples_per_shard", "2")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted([*(p.name for p in written), UNFINISHED])
    with pytest.raises(FileNotFoundError, match=r"no .*index\.json; .*an unfinished run has none"):
        ShardSource(tmp_path / "s").load_index()
    (tmp_path / "s" / ".pass-0-000002.tar.abc123").write_bytes(b"of a killed run")
    run(root, tmp_path / "s", "--views", "1")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["index.json", "pass-0-000000.tar"]


def test_an_interrupted_run_goes_on_with_the_sound_shards_of_unchanged_data(tmp_path, monkeypatch, capsys):
    tree, flags = make_tree(tmp_path / "tree", 6, num_views=1), ("--samples_per_shard", "1")
    run(tree, tmp_path / "whole", *flags)
    killed, write, written = tmp_path / "killed", shard_writer.write_atomically, []

    def killed_at_the_fifth(path, fill):
        if len(written) == 4 and not killed.exists():
            shutil.copytree(tmp_path / "s", killed)
        written.append(path)
        write(path, fill)

    monkeypatch.setattr(shard_writer, "write_atomically", killed_at_the_fifth)
    run(tree, tmp_path / "s", *flags)
    flip(-1)(killed / written[0].name)
    (killed / written[1].name).unlink()
    changed = bytes(read_shard(tmp_path / "s", ShardSource(tmp_path / "s").load_index(), 2)[0].name).decode().split()[0]
    os.utime(tree / "ShapeNet" / f"{changed}.ply", ns=(1, 1))  # as if it had been written again
    with (killed / UNFINISHED).open("a") as marker:
        marker.write('["cut')
    del written[:]
    run(tree, killed, *flags)
    assert sorted(path.name[12] for path in written[:-1]) == ["0", "1", "2", "4", "5"]
    assert "kept 1 of 6 shards" in capsys.readouterr().out
    assert contents(killed) == contents(tmp_path / "whole")


@pytest.mark.parametrize("name", ["notes.txt", "pass-0-000000.tar", "index.json"])
def test_a_folder_with_files_of_others_is_left_alone(root, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=f"holds files that data.shard did not write, such as {name}"):
        run(root, tmp_path, "--overwrite")
    assert (tmp_path / name).read_text() == "mine"


def test_two_processes_do_not_write_into_one_folder(root, tmp_path):
    with (tmp_path / UNFINISHED).open("a") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="another data.shard is writing into"):
            run(root, tmp_path)


def test_files_that_cannot_be_read_are_named_and_nothing_is_written(tmp_path, capsys):
    tree = make_tree(tmp_path / "tree", 5, num_views=1)
    bad = [tree / "ShapeNet" / "00" / "s0000.ply", tree / "ShapeNetRendering" / "01" / "s0001" / "rendering" / "00.png"]
    for path in bad:
        path.write_bytes(path.read_bytes()[:60])
    assert run(tree, tmp_path / "s") == 1
    err = capsys.readouterr().err
    assert all(f"FAULT: {path}" in err for path in bad)
    assert "2 faults, nothing written" in err
    assert list((tmp_path / "s").iterdir()) == []


def test_a_shape_without_picture_is_named(tmp_path):
    tree = make_tree(tmp_path / "tree", 2)
    for path in (tree / "ShapeNetRendering" / "01" / "s0001" / "rendering").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"s0001\.ply has no picture"):
        run(tree, tmp_path / "s")


@pytest.mark.parametrize("views", ["0", "4"])
def test_more_passes_than_views_are_refused(root, tmp_path, views):
    with pytest.raises(ValueError, match=f"--views {views}: a shape has 3 views; pass 1 to 3"):
        run(root, tmp_path / "s", "--views", views)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("argv", [[], ["root"], ["--out", "s"], ["root", "--out", "s", "--verify", "s"]])
def test_data_and_folder_are_both_named_or_neither(argv, capsys):
    with pytest.raises(SystemExit):
        shard.parse_args(argv)
    assert "--verify" in capsys.readouterr().err


def verify(folder):
    return shard.main(shard.parse_args(["--verify", str(folder), "--workers", "2"]))


def test_sound_shards_are_reported_as_such_and_recorded_as_they_are(root, tmp_path, capsys):
    run(root, tmp_path / "s")
    assert verify(tmp_path / "s") == 0
    assert "3 shards are sound, 3 passes over 11 shapes" in capsys.readouterr().out
    sizes = {one.name: one.bytes for one in ShardSource(tmp_path / "s").load_index().shards}
    assert sizes == {name: len(raw) for name, raw in contents(tmp_path / "s").items()}


def test_every_bad_shard_is_named(root, tmp_path, capsys):
    run(root, tmp_path / "s", "--samples_per_shard", "4", "--views", "1")
    first, second, third = sorted((tmp_path / "s").glob("*.tar"))
    flip(-1)(first)  # behind all samples
    third.unlink()
    assert verify(tmp_path / "s") == 1
    err = capsys.readouterr().err
    assert f"FAULT: {first} has another SHA-256" in err
    assert str(second) not in err
    assert str(third) in err
    assert "2 of 3 shards are bad" in err
