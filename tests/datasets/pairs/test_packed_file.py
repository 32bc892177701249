"""A packed file says what is wrong with it, where, and what to do."""

import pickle
import re
import shutil
import zlib

import h5py
import numpy as np
import pytest

from datasets.pairs.packed_file import INDEX, PAIR_INDEX, PackedFile, index_checksum
from tests.support.damage import in_h5
from tests.support.tiny_trees import pack, write_h5, write_pairs, write_shapenet


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Four shapes of 97 points with five views of 16 pixels each."""
    folder = tmp_path_factory.mktemp("packed")
    return pack(write_shapenet(folder / "tree", ("02/a", "02/b", "03/c", "03/d"), num_views=5), folder / "all.h5")


@pytest.fixture(scope="module")
def with_pairs(packed, tmp_path_factory):
    """The same file with pairs of pixels and points."""
    folder = tmp_path_factory.mktemp("with_pairs")
    return pack(write_pairs(shutil.copytree(packed.parent / "tree", folder / "tree")), folder / "pairs.h5")


def read_all(path):
    file = PackedFile(path)
    for index in range(len(file)):
        file.read_points(index)
        if file.has_pairs:
            file.read_pairs(index)
        for view in range(file.num_views(index)):
            file.read_view(index, view)


def assert_names_file_and_remedy(path, error):
    assert str(path) in str(error.value)
    assert re.search(r"python -m data\.pack \S*tree\S* --out .* --overwrite", str(error.value))


def assert_names_file_and_spares_it(path, error):
    assert str(path) in str(error.value)
    assert "into a new one: python -m data.pack ROOT --out NEW.h5" in str(error.value)
    assert "--overwrite" not in str(error.value)


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.h5; make it: python -m data\.pack"):
        PackedFile(tmp_path / "absent.h5")


def test_a_folder_is_no_packed_file(tmp_path):
    with pytest.raises(OSError, match="is a folder|Is a directory"):
        PackedFile(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_reported(packed, tmp_path, share):
    content = packed.read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.h5 is damaged") as error:
        read_all(path)
    assert_names_file_and_spares_it(path, error)


def test_a_file_cut_short_while_in_use_is_reported(packed, tmp_path):
    path = shutil.copy(packed, tmp_path / "all.h5")
    file = PackedFile(path)
    file.read_points(0)
    with open(path, "r+b") as stream:
        stream.truncate(3000)
    with pytest.raises(ValueError, match="is cut short") as error:
        file.read_points(3)
    assert_names_file_and_remedy(path, error)


@pytest.mark.parametrize("read", [lambda file: file.read_points(0), lambda file: file.read_view(0, 0)])
def test_a_file_replaced_while_in_use_is_reported_to_a_new_process(packed, tmp_path, read):
    path = shutil.copy(packed, tmp_path / "all.h5")
    there = pickle.dumps(PackedFile(path))
    shutil.copy(packed, tmp_path / "new.h5")
    (tmp_path / "new.h5").replace(path)
    with pytest.raises(ValueError, match=r"^\S*all\.h5 was replaced while it was in use; start again$"):
        read(pickle.loads(there))


def test_a_file_replaced_while_it_is_opened_is_reported(packed, tmp_path, monkeypatch):
    path = shutil.copy(packed, tmp_path / "all.h5")

    class Replacing(h5py.File):
        def __init__(self, name, mode):
            super().__init__(name, mode)
            shutil.copy(packed, tmp_path / "new.h5")
            (tmp_path / "new.h5").replace(path)

    monkeypatch.setattr(h5py, "File", Replacing)
    with pytest.raises(ValueError, match="was replaced while it was in use"):
        PackedFile(path)


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: write_h5(path, data=np.zeros((2, 3))), r"was not written by data\.pack, it holds \['data'\]"),
        (lambda path: path.write_text("no HDF5"), "is damaged or no HDF5 file"),
    ],
)
def test_other_files_are_refused(tmp_path, write, message):
    path = tmp_path / "other.h5"
    write(path)
    with pytest.raises(ValueError, match=rf"other\.h5 {message}") as error:
        PackedFile(path)
    assert_names_file_and_spares_it(path, error)


@pytest.mark.parametrize("value", [np.arange(3), ["crosspoint-pairs", "x"], np.float64(2.5)])
@pytest.mark.parametrize("name", ["format", "version"])
def test_attributes_of_any_kind_are_refused_by_name(packed, tmp_path, name, value):
    path = change(packed, tmp_path / "odd.h5", lambda file: file.attrs.create(name, value))
    with pytest.raises(ValueError, match=r"odd\.h5 (was not written by data\.pack|has version .*, this code reads 2)"):
        PackedFile(path)


def change(packed, path, edit):
    shutil.copy(packed, path)
    in_h5(edit)(path)
    return path


def replace(name, edit, **options):
    def apply(file):
        values = edit(file[name][:])
        del file[name]
        file.create_dataset(name, data=values, **options)

    return apply


def flip_byte(values):
    values.view(np.uint8).reshape(-1)[-3] ^= 64
    return values


def bump(values):
    """Moves the border between the first two: everything still fits."""
    values[1] += 1
    return values


def recounted(edit):
    """Other sizes of views, with a checksum to match."""

    def apply(file):
        replace("view/size", edit)(file)
        file.attrs["index_crc32"] = index_checksum({name: file[name][:] for name in INDEX})

    return apply


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.attrs.modify("version", 99), "has version 99, this code reads 2"),
        (replace("points", flip_byte), "the cloud of 03/d has another checksum"),
        (replace("pixels", flip_byte), "view 04.png of 03/d"),
        (replace("shape/points", lambda v: v[::-1]), "shape/points does not fit"),
        (replace("shape/views", lambda v: v[:-1]), "shape/views does not fit"),
        (replace("view/pixels", lambda v: v + 1), "view/pixels does not fit"),
        (replace("view/size", lambda v: v[:-1]), "arrays do not fit"),
        (replace("view/size", lambda v: v + 1), "index has another checksum"),
        (replace("shape/views", bump), "index has another checksum"),
        (replace("view/pixels", bump), "index has another checksum"),
        (replace("view/name", flip_byte), "index has another checksum"),
        (recounted(lambda v: v + 1), "no size of a picture"),
        (recounted(lambda v: v * 0), "no size of a picture"),
        (lambda file: file.pop("shape/crc32"), "crc32"),
        (lambda file: file.pop("pixels"), "pixels"),
        (replace("points", lambda v: v, chunks=(10, 3)), "not stored in one piece"),
    ],
)
def test_damage_is_reported_with_its_place_and_remedy(packed, tmp_path, edit, message):
    path = change(packed, tmp_path / "bad.h5", edit)
    with pytest.raises(ValueError, match=message) as error:
        read_all(path)
    assert_names_file_and_remedy(path, error)


def test_both_versions_are_told_apart(packed, with_pairs):
    assert [PackedFile(path).has_pairs for path in (packed, with_pairs)] == [False, True]
    assert [PackedFile(path).provenance["version"] for path in (packed, with_pairs)] == ["2", "3"]
    read_all(with_pairs)


def inflated(edit):
    """Change the pairs of the first shape after unpacking; their length stays, so that all offsets still fit."""

    def apply(file):
        end = file["shape/pairs"][1]
        table = np.frombuffer(bytearray(zlib.decompress(file["pairs"][:end].tobytes())), "<i4")
        edit(table)
        deflated = np.frombuffer(zlib.compress(table.tobytes(), 1), np.uint8)
        others = file["pairs"][end:]
        starts = file["shape/pairs"][:] + (len(deflated) - end)
        starts[0] = 0
        for name, values in (("pairs", np.concatenate([deflated, others])), ("shape/pairs", starts)):
            replace(name, lambda _, values=values: values)(file)
        index = {name: file[name][:] for name in (*INDEX, *PAIR_INDEX)}
        file.attrs["index_crc32"] = index_checksum(index)

    return apply


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (replace("pairs", flip_byte), "is damaged: the pairs of 03/d"),
        (replace("shape/pairs", lambda v: v[:-1]), "shape/pairs does not fit"),
        (replace("view/pairs", lambda v: v[:-1]), "view/pairs does not fit"),
        (replace("view/pairs", bump), "index has another checksum"),
        (replace("shape/pairs", bump), "index has another checksum"),
        (inflated(lambda table: table.__setitem__(0, 97)), "pairs of 02/a: it names point 97, the cloud has 97"),
        (lambda file: file.pop("pairs"), "pairs"),
    ],
)
def test_damage_to_pairs_is_reported_with_its_place_and_remedy(with_pairs, tmp_path, edit, message):
    path = change(with_pairs, tmp_path / "bad.h5", edit)
    with pytest.raises(ValueError, match=message) as error:
        read_all(path)
    assert_names_file_and_remedy(path, error)
