"""The built-in tree: layouts the readers read, the same data on any number of workers, safe to run again."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh
from PIL import Image

from data import make_shapes
from data.procedural import hdf5_writers
from data.procedural.manifest import FOLDERS
from datasets.labels import SHAPENET_PART

TINY = {"shapes_per_class": 1, "train_per_class": 2, "val_per_class": 1, "test_per_class": 1, "views": 2, "size": 24}


def make(out: Path, *more: str) -> None:
    flags = [text for name, value in TINY.items() for text in (f"--{name}", str(value))]
    make_shapes.main(make_shapes.parse_args(["--out", str(out), *flags, "--workers", "1", *more]))


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built_in") / "shapes"
    make(out)
    return out


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A tree of two categories, to which the test is limited."""
    monkeypatch.setattr(hdf5_writers, "CLASSES", hdf5_writers.CLASSES[:2])
    make(tmp_path / "small")
    return tmp_path / "small"


def read(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path, "r") as file:
        return {key: file[key][:] for key in file}


def digests(root: Path) -> dict[str, str]:
    """Content of every file: arrays of HDF5 and npz files, bytes of the others."""
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        reader = {".h5": read, ".npz": np.load}.get(path.suffix)  # zip members carry the time of day
        content = path.read_bytes() if reader is None else b"".join(array.tobytes() for array in reader(path).values())
        found[str(path.relative_to(root))] = hashlib.sha256(content).hexdigest()
    return found


def test_every_category_has_a_cloud_and_its_pictures(tree):
    for category in SHAPENET_PART:
        clouds = list((tree / "ShapeNet" / category.synset).glob("*.ply"))
        assert len(clouds) == 1
        folder = tree / "ShapeNetRendering" / category.synset / clouds[0].stem
        assert sorted(path.name for path in (folder / "rendering").iterdir()) == ["00.png", "01.png"]
        assert np.asarray(trimesh.load(clouds[0]).vertices).shape == (2048, 3)
        with Image.open(folder / "rendering" / "00.png") as picture:
            assert (picture.mode, picture.size) == ("RGBA", (24, 24))
            assert 0 < np.asarray(picture)[..., 3].astype(bool).mean() < 1


def test_modelnet_layout_holds_clouds_in_the_unit_sphere(tree):
    folder = tree / "modelnet40_ply_hdf5_2048"
    arrays = read(folder / "ply_data_train0.h5")
    assert arrays["data"].shape == (32, 2048, 3)
    assert arrays["data"].dtype == np.float32
    assert (arrays["label"].dtype, arrays["label"].shape) == (np.uint8, (32, 1))
    np.testing.assert_allclose(np.linalg.norm(arrays["data"], axis=2).max(axis=1), 1, atol=1e-5)
    assert (folder / "shape_names.txt").read_text().split() == [category.name for category in SHAPENET_PART]


@pytest.mark.parametrize(
    "folder, suffix", [("main_split", ""), ("main_split_nobg", ""), ("main_split", "_augmentedrot_scale75")]
)
@pytest.mark.parametrize("stem, rows", [("training", 32), ("test", 16)])
def test_scan_layout_has_the_published_file_names(tree, folder, suffix, stem, rows):
    arrays = read(tree / "ScanObjectNN" / folder / f"{stem}_objectdataset{suffix}.h5")
    assert arrays["data"].shape == (rows, 2048, 3)
    assert arrays["data"].dtype == np.float32
    assert np.isfinite(arrays["data"]).all()
    assert np.bincount(arrays["label"], minlength=16).tolist() == [rows // 16] * 16


@pytest.mark.parametrize("split, rows", [("train", 32), ("val", 16), ("test", 16)])
def test_part_layout_labels_each_point_with_a_part_of_its_category(tree, split, rows):
    arrays = read(tree / "shapenet_part_seg_hdf5_data" / f"ply_data_{split}0.h5")
    assert arrays["pid"].shape == (rows, 2048)
    for label, parts in zip(arrays["label"][:, 0], arrays["pid"]):
        assert set(np.unique(parts)) <= set(SHAPENET_PART[label].part_labels)


def test_splits_share_no_cloud(tree):
    shards = sorted((tree / "shapenet_part_seg_hdf5_data").glob("*.h5"))
    clouds = np.concatenate([read(path)["data"] for path in shards])
    assert len(np.unique(clouds.reshape(64, -1), axis=0)) == 64


def test_data_does_not_depend_on_the_number_of_workers(small, tmp_path):
    make(tmp_path / "again", "--workers", "2")
    assert digests(tmp_path / "again") == digests(small)


def test_pairs_are_added_to_a_complete_tree_as_they_are_made_with_a_new_one(small, tmp_path, capsys):
    before = digests(small)
    make(small, "--pairs")
    assert f"added the pairs of 2 shapes to {small}" in capsys.readouterr().out
    make(small, "--pairs")
    assert "nothing to do" in capsys.readouterr().out
    make(tmp_path / "new", "--pairs")
    added = digests(small)
    assert added == digests(tmp_path / "new")
    assert {name: added[name] for name in before} == before
    assert {Path(name).name for name in added.keys() - before.keys()} == {"pairs.npz"}


def test_captions_are_added_to_a_complete_tree_that_lacks_them(small, capsys):
    before = digests(small)
    captions = json.loads((small / "captions.json").read_text())
    assert captions.keys() == {f"{place.parent.name}/{place.stem}" for place in small.glob("ShapeNet/*/*.ply")}
    assert {found["category"] for found in captions.values()} == set(hdf5_writers.CLASSES)
    (small / "captions.json").unlink()
    make(small)
    assert f"added captions.json to {small}" in capsys.readouterr().out
    assert digests(small) == before


def test_a_larger_set_begins_with_the_smaller_one(small, tmp_path):
    make(tmp_path / "larger", "--test_per_class", "2")
    name = "ScanObjectNN/main_split/test_objectdataset.h5"
    np.testing.assert_array_equal(read(tmp_path / "larger" / name)["data"][:2], read(small / name)["data"])


def test_running_again_changes_nothing_and_says_so(tree, capsys):
    before = digests(tree)
    make(tree)
    assert "nothing to do" in capsys.readouterr().out
    assert digests(tree) == before


def test_other_arguments_are_refused_by_name(tree):
    with pytest.raises(ValueError, match=r"seed 0 there, 1 asked for.*--overwrite"):
        make(tree, "--seed", "1")


def test_a_folder_of_something_else_is_never_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not made by make_shapes"):
        make(tmp_path, "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def interrupted_tree(out: Path) -> None:
    """What a run leaves that is killed before its first shape."""
    out.mkdir()
    recipe = TINY | {"seed": 0}
    (out / "make_shapes.json").write_text(json.dumps({"recipe": recipe, "complete": False}))


def test_an_interrupted_run_is_taken_up(small, tmp_path):
    out = tmp_path / "shapes"
    interrupted_tree(out)
    make(out)
    assert digests(out) == digests(small)


def test_overwrite_removes_what_other_arguments_made(small, tmp_path):
    out = tmp_path / "shapes"
    interrupted_tree(out)
    for name in FOLDERS:
        (out / name).mkdir()
        (out / name / "stale.txt").write_text("old")
    (out / "captions.json").write_text("old")
    make(out, "--overwrite")
    assert digests(out) == digests(small)


def test_damaged_manifest_is_named(tmp_path):
    (tmp_path / "make_shapes.json").write_text("{}")
    with pytest.raises(ValueError, match="make_shapes.json is damaged"):
        make(tmp_path)


@pytest.mark.parametrize("flag", ["--shapes_per_class", "--views", "--size", "--workers"])
def test_sizes_below_one_are_refused(flag, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        make_shapes.parse_args(["--out", str(tmp_path), flag, "0"])
    assert refused.value.code == 2
    assert flag in capsys.readouterr().err
