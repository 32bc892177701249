"""ModelNet40, ScanObjectNN and ShapeNetPart on tiny files in their published layouts."""

import re

import h5py
import numpy as np
import pytest
import torch

from datasets.labelled.modelnet40 import ModelNet40
from datasets.labelled.scanobjectnn import ScanObjectNN
from datasets.parts.shapenet_part import ShapeNetPart
from tests.support.damage import cut, entry, in_h5, replace_bytes, stored
from tests.support.tiny_trees import labelled, write_h5, write_modelnet40, write_scanobjectnn, write_shapenet_part


def test_shards_are_concatenated_in_sorted_order_and_cut_to_the_first_points(tmp_path):
    write_modelnet40(tmp_path)
    dataset = ModelNet40(tmp_path, "train", num_points=11)
    expected = np.concatenate([labelled([0] * 4)["data"], labelled([0] * 2, seed=50)["data"]])[:, :11]
    assert torch.equal(dataset.points, torch.from_numpy(expected))
    assert dataset.labels.tolist() == [0, 1, 2, 2, 1, 0]
    assert dataset.labels.dtype == torch.int64


def test_many_shards_are_read_in_the_order_of_their_names(tmp_path):
    for number in (3, 0, 8, 5, 1, 7, 2, 6, 4):
        write_h5(tmp_path / f"ply_data_train{number}.h5", **labelled([number]))
    assert ModelNet40(tmp_path, "train", num_points=5).labels.tolist() == list(range(9))


def test_an_item_holds_points_and_label(tmp_path):
    dataset = ModelNet40(write_modelnet40(tmp_path), "test", num_points=97)
    assert len(dataset) == 3
    assert dataset[0]["points"].shape == (97, 3)
    assert dataset[0]["label"] == 2


def test_the_root_may_be_the_folder_of_the_shards_or_its_parent(tmp_path):
    folder = write_modelnet40(tmp_path)
    direct, parent = ModelNet40(folder, "test", num_points=5), ModelNet40(tmp_path, "test", num_points=5)
    assert torch.equal(direct.points, parent.points)
    assert direct.class_names == parent.class_names == ("cone", "cube", "ball")


def test_without_shape_names_the_published_classes_are_meant(tmp_path):
    folder = write_modelnet40(tmp_path)
    (folder / "shape_names.txt").unlink()
    names = ModelNet40(folder, "test", num_points=5).class_names
    assert len(names) == 40
    assert names[39] == "xbox"


def test_normalize_centres_the_points_that_were_kept_and_scales_them_to_radius_one(tmp_path):
    points = ModelNet40(write_modelnet40(tmp_path), "train", num_points=13, normalize=True).points
    np.testing.assert_allclose(points.mean(dim=1), 0, atol=1e-6)
    np.testing.assert_allclose(points.norm(dim=2).amax(dim=1), 1, atol=1e-6)


def test_real_shards_of_69_classes_are_read(shared):
    train, test = (ModelNet40(shared / "realdata" / "h5" / "infomr69", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1989, 494)
    assert len(train.class_names) == len(test.class_names) == 69
    assert train.points.shape == (1989, 1024, 3)
    assert set(train.labels.tolist()) == set(range(69))


@pytest.mark.parametrize("variant", ["obj_bg", "obj_only", "hardest"])
def test_each_variant_reads_its_own_files(tmp_path, variant):
    write_scanobjectnn(tmp_path)
    dataset = ScanObjectNN(tmp_path, "test", variant=variant, num_points=7)
    seed = {"obj_bg": 210, "obj_only": 230, "hardest": 250}[variant]
    assert torch.equal(dataset.points, torch.from_numpy(labelled([0] * 3, seed=seed)["data"][:, :7]))
    assert dataset.labels.tolist() == [14, 0, 7]
    assert dataset.class_names[14] == "toilet"


@pytest.mark.parametrize(
    "read, write, name",
    [
        (ScanObjectNN, write_scanobjectnn, "h5_files"),
        (ScanObjectNN, write_scanobjectnn, "ScanObjectNN/h5_files"),
        (ShapeNetPart, write_shapenet_part, "hdf5_data"),
        (ModelNet40, write_modelnet40, "mine"),
    ],
)
def test_folder_names_of_the_official_archives_are_accepted_and_any_for_modelnet40(tmp_path, read, write, name):
    (tmp_path / "root" / name).parent.mkdir(parents=True)
    write(tmp_path).rename(tmp_path / "root" / name)
    assert len(read(tmp_path / "root", "test", num_points=7)) == 3


@pytest.mark.parametrize(
    "split, published", [("train", "training_objectdataset.h5"), ("test", "test_objectdataset.h5")]
)
def test_the_file_names_of_crosspoints_pack_are_accepted(tmp_path, split, published):
    folder = write_scanobjectnn(tmp_path) / "main_split"
    (folder / published).rename(folder / f"{split}.h5")
    assert ScanObjectNN(tmp_path, split, num_points=7).shards == [folder / f"{split}.h5"]


def test_shape_names_beside_the_splits_replace_the_published_classes(tmp_path):
    folder = write_scanobjectnn(tmp_path)
    (folder / "shape_names.txt").write_text("\n".join(f"thing {i}" for i in range(16)))
    assert ScanObjectNN(folder, "train", num_points=7).class_names[15] == "thing 15"


def test_trainval_is_train_then_val(tmp_path):
    folder = write_shapenet_part(tmp_path)
    train, val, both = (ShapeNetPart(folder, split, num_points=31) for split in ("train", "val", "trainval"))
    assert torch.equal(both.points, torch.cat([train.points, val.points]))
    assert torch.equal(both.part_labels, torch.cat([train.part_labels, val.part_labels]))
    assert both.part_labels.shape == (6, 31)


def test_a_part_item_holds_points_category_and_part_labels(tmp_path):
    write_shapenet_part(tmp_path)
    item = ShapeNetPart(tmp_path, "test", num_points=97)[2]
    assert item["points"].shape == (97, 3)
    assert item["category"] == 15
    assert item["part_label"][:4].tolist() == [47, 48, 49, 47]


def test_files_are_opened_read_only_and_no_handle_stays_open(tmp_path):
    path = write_modelnet40(tmp_path) / "ply_data_test0.h5"
    with h5py.File(path, "r"):  # HDF5 lets a second reader in, and no writer
        dataset = ModelNet40(tmp_path, "test", num_points=5)
    with h5py.File(path, "r+") as file:  # refused while a reader has it open
        file["label"][0] = 0
    assert dataset.labels[0] == 2


@pytest.mark.parametrize(
    "read, looked_for, command",
    [
        (lambda root: ModelNet40(root, "train"), "ply_data_train*.h5", "bash data/download_data.sh modelnet40"),
        (lambda root: ScanObjectNN(root, "test"), "test_objectdataset.h5", "bash data/download_data.sh scanobjectnn"),
        (lambda root: ShapeNetPart(root, "val"), "ply_data_val*.h5", "bash data/download_data.sh shapenet_part"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_or_missing_root_says_what_was_looked_for_and_what_to_run(tmp_path, read, looked_for, command, exists):
    root = tmp_path if exists else tmp_path / "absent"
    with pytest.raises(FileNotFoundError, match=re.escape(looked_for)) as caught:
        read(root)
    assert str(root) in str(caught.value)
    assert command in str(caught.value)
    assert "python -m data.make_shapes --out data/shapes" in str(caught.value)


UNREADABLE = "is not a readable HDF5 file"
GROUP = h5py.SoftLink("/")


def more_than_the_file_holds(file):
    del file["data"]
    file.create_dataset("data", (3, 10**9, 3), np.float32, chunks=(1, 1000, 3), compression="gzip")


@pytest.mark.parametrize(
    "damage, message",
    [
        (stored(label=None), r"has no 'label'; it holds \['data'\], expected \['data', 'label'\]"),
        (stored(data=None), "has no 'data'"),
        (
            stored(label=np.array([[0], [3], [1]])),
            r"label 3 in row 1 is outside 0 \.\. 2 \(1 such values\); .*shape_names",
        ),
        (stored(label=np.array([0, -1, 1])), "label -1 in row 1 is outside"),
        (stored(label=np.array([0, 0.5, 1])), "not whole numbers"),
        (stored(label=np.zeros((3, 2), int)), r"label has shape \(3, 2\), expected \(3,\) or \(3, 1\)"),
        (stored(label=np.zeros(4, int)), r"label has shape \(4,\)"),
        (stored(label=["a", "b", "c"]), "label is no array of numbers"),
        (stored(label=GROUP), "label is no array of numbers"),
        (stored(data=np.zeros((3, 97, 2))), r"data has shape \(3, 97, 2\), expected \(clouds, points, 3\)"),
        (stored(data=np.zeros((97, 3))), r"data has shape \(97, 3\)"),
        (stored(data=np.full((3, 97, 3), np.inf)), r"3 of 3 clouds have points that are not finite \(first: row 0\)"),
        (stored(data=["a", "b", "c"]), "data is no array of numbers"),
        (stored(data=GROUP), "data is no array of numbers"),
        (in_h5(more_than_the_file_holds), "data announces 36000000000 bytes, more than"),
        (cut(0), UNREADABLE),
        (cut(600), UNREADABLE),
        *((replace_bytes(table, b"OOPS"), UNREADABLE) for table in (b"HEAP", b"SNOD", b"TREE")),
        (replace_bytes(b"label\0", b"lab\xffl\0"), "has no 'label'; it holds"),
    ],
)
def test_a_shard_at_fault_is_named_with_its_fault(tmp_path, damage, message):
    path = write_modelnet40(tmp_path) / "ply_data_test0.h5"
    damage(path)
    with pytest.raises(ValueError, match=message) as caught:
        ModelNet40(tmp_path, "test", num_points=17)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("num_points", [0, 98])
def test_more_points_than_stored_is_an_error_that_names_both_counts(tmp_path, num_points):
    write_modelnet40(tmp_path)
    with pytest.raises(ValueError, match=f"holds 97 points a cloud, {num_points} were asked for"):
        ModelNet40(tmp_path, "test", num_points=num_points)


def test_a_cloud_without_size_cannot_be_normalized_and_is_named(tmp_path):
    arrays = labelled([0, 1])
    arrays["data"][1] = 0.25
    write_h5(tmp_path / "ply_data_test0.h5", **arrays)
    with pytest.raises(ValueError, match=r"ply_data_test0\.h5: all points coincide in cloud 1"):
        ModelNet40(tmp_path, "test", num_points=97, normalize=True)


@pytest.mark.parametrize(
    "damage, message",
    [
        (entry("pid", (1, 4), 50), r"pid 50 in row 1 is outside 0 \.\. 49"),
        (entry("pid", (1, 4), 3), r"pid 3 in row 1 is no part of bag \(4 \.\. 5\)"),
        (stored(pid=np.zeros((3, 96), int)), r"pid has shape \(3, 96\), expected \(3, 97\)"),
    ],
)
def test_part_labels_at_fault_are_named(tmp_path, damage, message):
    damage(write_shapenet_part(tmp_path) / "ply_data_test0.h5")
    with pytest.raises(ValueError, match=message):
        ShapeNetPart(tmp_path, "test", num_points=90)


@pytest.mark.parametrize(
    "make, allowed",
    [
        (lambda root: ModelNet40(root, "val"), "train and test"),
        (lambda root: ScanObjectNN(root, "val"), "train and test"),
        (lambda root: ScanObjectNN(root, "test", variant="pb"), "obj_bg, obj_only, hardest"),
        (lambda root: ShapeNetPart(root, "dev"), "train, val, trainval, test"),
    ],
)
def test_an_unknown_split_or_variant_lists_the_known_ones(tmp_path, make, allowed):
    with pytest.raises(ValueError, match=allowed):
        make(tmp_path)


def test_of_several_such_folders_one_must_be_named(tmp_path):
    for name in ("mine", "yours"):
        write_modelnet40(tmp_path).rename(tmp_path / name)
    with pytest.raises(ValueError, match=r"several sets of clouds: .*mine, .*yours; pass one of them"):
        ModelNet40(tmp_path, "test")
    assert len(ModelNet40(tmp_path / "mine", "test", num_points=5)) == 3


def test_shards_with_part_labels_are_a_classification_set_of_their_categories(tmp_path):
    folder = write_shapenet_part(tmp_path)
    clouds, parts = ModelNet40(folder, "test", num_points=97), ShapeNetPart(folder, "test", num_points=97)
    assert torch.equal(clouds.points, parts.points)
    assert torch.equal(clouds.labels, parts.categories)
    assert clouds.class_names[:3] == ("airplane", "bag", "cap")


def test_clouds_stored_with_points_last_are_recognised(tmp_path):
    data = labelled([0, 1])["data"]
    write_h5(tmp_path / "ply_data_test0.h5", data=data.swapaxes(1, 2), label=[0, 1])
    assert torch.equal(ModelNet40(tmp_path, "test", num_points=50).points, torch.from_numpy(data[:, :50]))


def test_numbers_in_other_files_are_named_and_not_followed(tmp_path):
    write_h5(tmp_path / "other.h5", **labelled([0, 1]))
    layout = h5py.VirtualLayout((2, 97, 3), "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "data", (2, 97, 3))
    with h5py.File(tmp_path / "ply_data_test0.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
        file["label"] = [0, 1]
    with pytest.raises(
        ValueError, match=r"test0\.h5: data is a virtual data set, whose numbers lie elsewhere: store them in it"
    ):
        ModelNet40(tmp_path, "test", num_points=50)
