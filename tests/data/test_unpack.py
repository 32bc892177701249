import gzip
import io
import tarfile
from types import SimpleNamespace

import pytest

from data.unpack import check_archive, main, parse_args, sha256
from tests.support.damage import flip
from tests.support.tiny_trees import write_modelnet40, write_scanobjectnn, write_shapenet, write_shapenet_part


def pack(path, tree, prefix=""):
    """Archive everything in a folder as prefix/... and return the archive."""
    with tarfile.open(path, "w:gz") as tar:
        for child in sorted(tree.iterdir()):
            tar.add(child, arcname=f"{prefix}{child.name}")
    return path


def pack_member(path, name, **fields):
    """An archive with one odd member."""
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(member, field, value)
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


@pytest.fixture
def archive(tmp_path):
    """ModelNet40's layout in the folder its archive has."""
    write_modelnet40(tmp_path / "tree")
    return pack(tmp_path / "modelnet40.tar.gz", tmp_path / "tree")


def names_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def unpack(archive, out, *flags):
    main(parse_args([str(archive), "--out", str(out), *flags]))


@pytest.mark.parametrize("prefix", ["", "./", "some/folder/"])
@pytest.mark.parametrize(
    "write, folders",
    [
        (write_modelnet40, ["modelnet40_ply_hdf5_2048"]),
        (write_scanobjectnn, ["ScanObjectNN"]),
        (write_shapenet_part, ["shapenet_part_seg_hdf5_data"]),
        (write_shapenet, ["ShapeNet", "ShapeNetRendering"]),
    ],
)
def test_each_set_is_recognised_by_its_content_and_put_in_place(tmp_path, write, folders, prefix):
    write(tmp_path / "tree")
    for number, folder in enumerate(folders):
        (tmp_path / "tree" / folder).rename(tmp_path / "tree" / f"renamed{number}")
    unpack(pack(tmp_path / "some.tar.gz", tmp_path / "tree", prefix), tmp_path / "out")
    for number, folder in enumerate(folders):
        expected = names_below(tmp_path / "tree" / f"renamed{number}")
        assert names_below(tmp_path / "out" / folder) == expected | {".unpacked_from"}


def test_nothing_but_the_sets_and_the_checksums_is_left(archive, tmp_path):
    unpack(archive, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"SHA256SUMS.local", "modelnet40_ply_hdf5_2048"}
    assert (tmp_path / "out" / "SHA256SUMS.local").read_text() == f"{sha256(archive)}  modelnet40.tar.gz\n"
    assert archive.is_file()


def test_an_archive_of_another_set_than_expected_is_pointed_out(archive, tmp_path, capsys):
    unpack(archive, tmp_path / "out", "--expect", "scanobjectnn")
    text = capsys.readouterr().out
    assert "modelnet40.tar.gz holds modelnet40" in text
    assert "note: it was expected to hold scanobjectnn" in text


def test_a_second_run_does_nothing_but_compare_the_recorded_checksum(archive, tmp_path, capsys):
    unpack(archive, tmp_path / "out")
    shard = tmp_path / "out" / "modelnet40_ply_hdf5_2048" / "ply_data_test0.h5"
    before = shard.stat().st_mtime_ns
    unpack(archive, tmp_path / "out")
    assert shard.stat().st_mtime_ns == before
    text = capsys.readouterr().out
    assert "is unpacked already" in text
    assert "same as recorded in" in text
    (tmp_path / "out" / "SHA256SUMS.local").write_text(f"{'0' * 64}  modelnet40.tar.gz\n")
    unpack(archive, tmp_path / "out")
    assert f"records another file: {'0' * 64}" in capsys.readouterr().out


def test_a_run_killed_while_unpacking_is_started_afresh(archive, tmp_path):
    leftover = tmp_path / "out" / ".unpacking_modelnet40.tar.gz" / "modelnet40_ply_hdf5_2048"
    leftover.mkdir(parents=True)
    (leftover / "ply_data_train9.h5").write_bytes(b"half a shard")
    unpack(archive, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out" / "modelnet40_ply_hdf5_2048").iterdir()}
    assert "ply_data_train9.h5" not in names
    assert "ply_data_train0.h5" in names


def test_a_run_killed_between_two_moves_is_completed(tmp_path):
    write_shapenet(tmp_path / "tree")
    archive = pack(tmp_path / "both.tar.gz", tmp_path / "tree")
    unpack(archive, tmp_path / "out")
    (tmp_path / "out" / "SHA256SUMS.local").unlink()
    (tmp_path / "out" / "ShapeNetRendering").rename(tmp_path / "elsewhere")
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "ShapeNetRendering").is_dir()


def test_data_of_another_origin_is_never_replaced(archive, tmp_path):
    mine = tmp_path / "out" / "modelnet40_ply_hdf5_2048"
    mine.mkdir(parents=True)
    (mine / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"modelnet40_ply_hdf5_2048 exists and is of another origin; move it away"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in mine.iterdir()] == ["mine.txt"]
    assert not list((tmp_path / "out").glob(".unpacking*"))


@pytest.mark.parametrize(
    "name, fields, problem",
    [
        *((name, {}, "points outside") for name in ("../evil.txt", "data/../../evil.txt", "/tmp/evil.txt")),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "is a link or a device"),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "other"}, "is a link or a device"),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "../../out"}, "is a link or a device"),
        ("pipe", {"type": tarfile.FIFOTYPE}, "is a link or a device"),
        ("disk", {"type": tarfile.BLKTYPE, "devmajor": 8}, "is a link or a device"),
        ("terminal", {"type": tarfile.CHRTYPE, "devmajor": 5}, "is a link or a device"),
    ],
)
def test_a_member_that_could_write_elsewhere_is_refused_before_anything_is_written(tmp_path, name, fields, problem):
    archive = pack_member(tmp_path / "evil.tar.gz", name, **fields)
    with pytest.raises(ValueError, match=problem) as caught:
        unpack(archive, tmp_path / "out" / "deep")
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_member_with_holes_is_refused_for_a_few_bytes_of_it_fill_the_disk(tmp_path):
    holes = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": str(2**20), "GNU.sparse.map": "0,0"}
    archive = pack_member(tmp_path / "holes.tar.gz", "zeros.h5", pax_headers=holes)
    with pytest.raises(ValueError, match=r"holes\.tar\.gz: member 'zeros\.h5' has holes"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_larger_than_the_disk_is_refused_before_it_fills_it(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"modelnet40\.tar\.gz unpacks to \d+ bytes, .*out has room for 1000; pass --out"):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path, kind):
    archive = pack_member(tmp_path / "long.tar.gz", "name", type=kind, size=2**20 + 1)
    with pytest.raises(ValueError, match=r"long\.tar\.gz is cut short or damaged \(a header of 1048577 bytes\)"):
        check_archive(archive)


@pytest.mark.parametrize("drop", [1, 8, 2000, 0.5])
def test_an_archive_cut_short_anywhere_is_refused(archive, tmp_path, drop):
    content = archive.read_bytes()
    archive.write_bytes(content[: -(drop if drop >= 1 else int(len(content) * drop))])
    with pytest.raises(ValueError, match=r"modelnet40\.tar\.gz is cut short or damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def damage_compression(archive):
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\xff" * 400
    archive.write_bytes(content)


def nest(archive):
    """An archive in an archive."""
    with tarfile.open(archive, "w:bz2"):
        pass
    archive.write_bytes(gzip.compress(archive.read_bytes()))


def overwrite(content):
    return lambda archive: archive.write_bytes(content)


@pytest.mark.parametrize(
    "damage, problem",
    [
        (flip(-6), "is cut short or damaged"),  # within the checksum of gzip: the data unpack without complaint
        (damage_compression, "is cut short or damaged"),
        (nest, "is cut short or damaged"),
        (overwrite(gzip.compress(b"hello" * 1000)), "is cut short or damaged"),
        (overwrite(b"<!DOCTYPE html><html>Quota exceeded</html>"), "a web page, as Google Drive sends"),
        (overwrite(b""), "no gzip file"),
    ],
)
def test_what_is_no_sound_archive_is_named_for_what_it_is(archive, damage, problem):
    damage(archive)
    with pytest.raises(ValueError, match=rf"modelnet40\.tar\.gz.* {problem}") as caught:
        check_archive(archive)
    assert "\n" not in str(caught.value)


def test_an_archive_without_a_known_set_is_refused(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "readme.txt").write_text("hello")
    with pytest.raises(ValueError, match="holds none of the known sets"):
        unpack(pack(tmp_path / "a.tar.gz", tmp_path / "tree"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
