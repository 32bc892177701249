"""data.get_furniture: the whole program on tiny packages."""

import csv
import json
import zipfile

import numpy as np
import pytest

from data import check_data, get_furniture
from data.furniture.class_table import read_class_table
from data.furniture.library import parse_properties
from datasets.labelled.modelnet40 import ModelNet40
from datasets.meshes.surface import LOOKS, NOTES
from datasets.shapes.mesh_files import find_meshes
from datasets.shapes.meshes import load_mesh
from datasets.shapes.shape_folder import list_shape_files
from tests.support.damage import cut, flip
from tests.support.entry_programs import error_of
from tests.support.furniture_package import OBJ, model, write_library, write_package

TABLE = read_class_table()
TRAIN, TEST = (
    next(name for name, place in TABLE.places.items() if place.split == split) for split in ("train", "test")
)
CLASS = TABLE.places[TRAIN].class_name
TURN = "1 0 0 0 0 1 0 -1 0"  # (x, y, z) -> (x, z, -y)


def folder_of(name):
    place = TABLE.places.get(name)
    return f"{place.split}/{place.class_name}" if place else "other/unclassified"


def mesh_of(out, name):
    return out / "meshes" / folder_of(name) / name.replace("/", "_") / "model.obj"


def run(out, *words):
    words = ["--out", out, "--workers", 1, *words]
    return get_furniture.main(get_furniture.parse_args([str(word) for word in words]))


def message_of(capsys, out, *words):
    """The message of a run that must fail and leave nothing."""
    before = sorted(out.parent.iterdir())
    message = error_of(lambda: run(out, *words), capsys)
    assert sorted(out.parent.iterdir()) == before
    return message


@pytest.fixture
def library(tmp_path):
    models = model(TRAIN, 1), model(TEST, 2, modelRotation=TURN), model("new/thing", 7)
    return write_library(tmp_path / "Tiny.sh3f", *models)


@pytest.fixture
def package(tmp_path, library):
    (tmp_path / "copyright").write_text("whose\n")
    return write_package(tmp_path / "tiny.deb", tmp_path / "copyright", library)


def test_a_package_becomes_meshes_and_clouds_that_the_readers_take(tmp_path, package, capsys):
    out = tmp_path / "set"
    assert run(out, "--deb", package) == 0
    assert "1 models for train, 1 for test, 1 unclassified" in capsys.readouterr().out
    for name, split in ((TRAIN, "train"), (TEST, "test")):
        clouds = ModelNet40(out, split, num_points=97)
        assert [clouds.class_names[label] for label in clouds.labels] == [TABLE.places[name].class_name]
        assert np.linalg.norm(clouds.points, axis=-1).max() <= 1.00001
    assert check_data.main(check_data.parse_args([str(out), "--workers", "1"])) == 0
    found = find_meshes(out / "meshes" / "train").found
    assert [(mesh.synset, mesh.shape_id) for mesh in found] == [(CLASS, TRAIN.replace("/", "_"))]
    assert len(list_shape_files(out / "meshes")) == 3  # no licence among them is taken for a cloud
    mesh = load_mesh(mesh_of(out, TRAIN))
    assert mesh.metadata[NOTES] == []
    assert mesh.metadata[LOOKS][0].look.texture.getpixel((0, 0)) == (10, 200, 30)


def test_every_model_is_recorded_with_its_size_its_author_and_its_licence(tmp_path, package):
    out = tmp_path / "set"
    run(out, "--deb", package)
    models = {entry["name"]: entry for entry in json.loads((out / "furniture.json").read_text())["models"]}
    assert {name: entry["row"] for name, entry in models.items()} == {TRAIN: 0, TEST: 0, "new/thing": None}
    assert models[TRAIN]["size_m"] == [0.5, 1.5, 1.0]  # width, height, depth
    assert all((out / entry["mesh"]).is_file() for entry in models.values())
    with (out / "attribution.csv").open(encoding="utf-8") as table:
        rows = {row["model"]: row for row in csv.DictReader(table)}
    assert rows.keys() == models.keys()
    row = rows[TRAIN]
    assert (row["creator"], row["licence"], row["own_licence"]) == ("Ann é", "CC BY €", "Creative Commons Zero")
    assert row["source"] == "http://www.blendswap.com/blends/view/508 in Tiny.sh3f of example.org"
    assert [(out / text).exists() for text in row["licence_texts"].split("; ")] == [True, True]
    assert (out / "licences/Tiny/LICENSE.TXT").read_text() == "terms\n"
    assert (out / "licences/copyright").read_text() == "whose\n"


def test_a_model_is_turned_as_the_catalogue_says_and_others_stay_as_they_are(tmp_path, library):
    out = tmp_path / "set"
    run(out, "--sh3f", library)
    assert mesh_of(out, TRAIN).read_text() == OBJ
    np.testing.assert_allclose(load_mesh(mesh_of(out, TEST)).bounds, [[0, 0, -3], [1, 2, 0]])
    with (out / "attribution.csv").open(encoding="utf-8") as table:
        assert [row["model"] for row in csv.DictReader(table) if "rotated" in row["changes"]] == [TEST]


def test_a_mesh_that_is_refused_is_named_and_the_others_are_written(tmp_path, capsys):
    broken = OBJ.replace("v 0 3 0", "v 0 x 0")
    models = model(TRAIN, 1), model(TEST, 2, obj=broken, modelRotation=TURN), model("new/thing", 3, obj="v 0 0 0\n")
    out = tmp_path / "set"
    assert run(out, "--sh3f", write_library(tmp_path / "Tiny.sh3f", *models)) == 1
    shown = capsys.readouterr().err
    assert f"refused: {TEST}: vertex" in shown
    assert "refused: new/thing: expected triangles, found a file without faces" in shown
    record = json.loads((out / "furniture.json").read_text())
    assert record["refused"].keys() == {TEST, "new/thing"}
    assert [entry["name"] for entry in record["models"]] == [TRAIN]
    assert [path for path in out.rglob("model.obj")] == [mesh_of(out, TRAIN)]


def test_a_complete_set_is_kept_and_one_of_other_libraries_or_another_folder_is_not_replaced(tmp_path, library, capsys):
    out = tmp_path / "set"
    run(out, "--sh3f", library)
    before = mesh_of(out, TRAIN).stat().st_mtime_ns
    for words in ((), ("--sh3f", library)):
        assert run(out, *words) == 0
        assert "nothing to do" in capsys.readouterr().out
    assert mesh_of(out, TRAIN).stat().st_mtime_ns == before
    other = write_library(tmp_path / "Other.sh3f", model(TRAIN, 1))
    assert "was made from other libraries (Tiny.sh3f)" in message_of(capsys, out, "--sh3f", other)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").touch()
    assert "is not empty and no set of this program" in message_of(capsys, foreign, "--sh3f", library)


def test_without_a_file_apt_get_is_asked_and_without_it_the_program_says_what_to_download(
    tmp_path, package, capsys, monkeypatch
):
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    out = tmp_path / "set"
    assert "no apt-get here: download sweethome3d-furniture_1.8-1_all.deb" in message_of(capsys, out)
    apt = programs / "apt-get"
    apt.write_text("#!/bin/sh\necho E: offline >&2\nexit 100\n")
    apt.chmod(0o755)
    assert "failed (E: offline): run apt-get update, or download" in message_of(capsys, out)
    apt.write_text(f'#!/bin/sh\n[ "$*" = "download sweethome3d-furniture" ] && /bin/cp {package} $2_1.8-1_all.deb\n')
    assert run(out) == 0
    assert mesh_of(out, TRAIN).is_file()


def no_deb(path):
    path.write_bytes(b"PK not a package" * 9)


@pytest.mark.parametrize(
    "damage, expected",
    [
        (no_deb, "is no Debian package"),
        (cut(-200), "is damaged, or packed in a way unknown here"),
        (cut(100), "has no member data.tar"),
        (lambda path: write_package(path), "holds no furniture library"),
    ],
)
def test_a_damaged_package_is_named_and_nothing_is_left(tmp_path, package, capsys, damage, expected):
    damage(package)
    message = message_of(capsys, tmp_path / "set", "--deb", package)
    assert message.startswith(f"error: {package} {expected}")
    assert "sweethome3d-furniture_1.8-1_all.deb" in message


def test_a_package_that_is_not_there_is_named_and_the_message_says_where_it_is(tmp_path, capsys):
    message = message_of(capsys, tmp_path / "set", "--deb", tmp_path / "nope.deb")
    assert f"no Debian package at {tmp_path / 'nope.deb'}: download sweethome3d-furniture_1.8-1_all.deb" in message


def plain_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "")


@pytest.mark.parametrize(
    "damage, expected",
    [
        (lambda path: path.write_bytes(b"no zip"), "is no zip archive"),
        (flip(b"newmtl"), "is no zip archive, or damaged (Bad CRC"),
        (plain_zip, "has no PluginFurnitureCatalog.properties"),
        (lambda path: write_library(path), "lists no models"),
        (lambda path: write_library(path, model(TRAIN, 1, model="/../../etc/x.obj")), "expected /<library>/<model>/"),
        (lambda path: write_library(path, model(TRAIN, 1, model="/a/b/c.obj")), "expected /<library>/<model>/"),
        (lambda path: write_library(path, model(TRAIN, 1, width="wide")), "size or rotation of model 1"),
        (lambda path: write_library(path, model(TRAIN, 1, modelRotation="1 0")), "size or rotation of model 1"),
        (lambda path: write_library(path, model(TRAIN, 1), (model(TRAIN, 2)[0], {})), f"{TRAIN} are in several"),
        (lambda path: write_library(path, ("id#1=a\n", {})), "model 1 of its PluginFurnitureCatalog.properties has no"),
    ],
)
def test_a_damaged_library_is_named_and_nothing_is_left(tmp_path, library, capsys, damage, expected):
    damage(library)
    message = message_of(capsys, tmp_path / "set", "--sh3f", library)
    assert expected in message
    assert str(library) in message


def test_what_a_killed_run_left_does_not_come_into_the_set(tmp_path, library):
    (tmp_path / ".set.partial/set/meshes/train/old").mkdir(parents=True)
    run(tmp_path / "set", "--sh3f", library)
    assert list(tmp_path.rglob("old")) == []


def test_a_properties_file_is_read_as_java_reads_it():
    text = "# a=b\n! c=d\n  name = caf\xe9 \\u20ac\\: x=y\\\n   z\r\nempty=\n\nno pair\n"
    assert parse_properties(text) == {"name": "caf\xe9 \u20ac: x=yz", "empty": ""}
