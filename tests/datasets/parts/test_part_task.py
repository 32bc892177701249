import json

import numpy as np
import pytest
import torch

from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import part_table
from datasets.parts.part_task import PartTask
from datasets.parts.shapenet_part import ShapeNetPart
from tests.support.tiny_trees import labelled, write_h5, write_shapenet_part

OWN = part_table({"lamp": ["base", "shade"], "chair": ["back", "seat", "leg"]})


@pytest.fixture
def root(tmp_path):
    return write_shapenet_part(tmp_path).parent


def write_own(root, categories=(0, 1, 1), parts=(0, 2, 4)):
    pid = np.repeat(np.array(parts)[:, None], 97, axis=1)
    for split in ("train", "val", "test"):
        write_h5(root / f"ply_data_{split}0.h5", **labelled(categories), pid=pid)
    return root


def test_the_task_of_no_flag_is_shapenet_part():
    assert PartTask.from_flags("", "") == PartTask(SHAPENET_PART, "shapenetpart", "")


def test_the_task_of_a_file_has_its_table_and_its_name(tmp_path):
    (tmp_path / "tools.json").write_text(json.dumps({"drill": ["bit", "body"]}))
    task = PartTask.from_flags(str(tmp_path / "tools.json"), "drill")
    assert (task.dataset, task.class_choice, task.table) == ("tools", "drill", part_table({"drill": ["bit", "body"]}))


def test_a_chosen_category_becomes_the_only_one_with_parts_from_0(root):
    task = PartTask.from_flags("", "table")
    clouds = task.read(root, "trainval", num_points=31)
    everything = ShapeNetPart(root, "trainval", num_points=31)
    assert clouds.categories.tolist() == [0, 0]
    assert torch.equal(clouds.points, everything.points[[2, 5]])
    assert torch.equal(clouds.part_labels, everything.part_labels[[2, 5]] - 47)
    assert clouds.table == task.known
    assert [(row.name, row.part_labels) for row in clouds.table] == [("table", range(3))]
    assert clouds.files(1).endswith("ply_data_val0.h5 row 2")


def test_a_category_is_left_alone_with_its_labels_for_a_network_of_all(root):
    clouds = PartTask().read(root, "test", num_points=31, category="bag")
    assert clouds.categories.tolist() == [1]
    assert set(clouds.part_labels.unique().tolist()) == {4, 5}
    assert clouds.table == SHAPENET_PART


def test_a_category_without_clouds_is_an_error(root):
    with pytest.raises(ValueError, match=r"no rocket in ply_data_val0.h5"):
        PartTask.from_flags("", "rocket").read(root, "val", num_points=31)


def test_a_share_of_the_labels_is_read_from_each_category(root):
    assert len(PartTask().read(root, "trainval", num_points=31)) == 6
    draws = set()
    for seed in range(8):
        clouds = PartTask().read(root, "trainval", num_points=31, label_fraction=0.4, seed=seed)
        assert sorted(clouds.categories.tolist()) == [0, 1, 15]
        draws.add(tuple(map(clouds.files, range(3))))
    assert len(draws) > 1


def test_what_it_is_tested_on(root):
    alone, whole = PartTask(class_choice="chair"), PartTask()
    assert [alone.tested_on(""), alone.tested_on("chair"), whole.tested_on(""), whole.tested_on("motor")] == [
        "chair", "chair", "", "motorbike",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="--class_choice table: the network was trained on chair alone"):
        alone.tested_on("table")


def test_a_set_of_ones_own_is_read_with_its_table(tmp_path):
    clouds = PartTask(OWN, "own").read(write_own(tmp_path), "train", num_points=97)
    assert clouds.categories.tolist() == [0, 1, 1]
    assert clouds.part_labels[:, 0].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": (0, 1, 2)}, r"label 2 in row 2 is outside 0 \.\. 1 .*correct it or the file of --parts"),
        ({"parts": (0, 2, 5)}, r"pid 5 in row 2 is outside 0 \.\. 4 .*correct it or the file of --parts"),
        ({"parts": (2, 2, 4)}, r"pid 2 in row 0 is no part of lamp \(0 \.\. 1\); correct it or the file of --parts"),
    ],
)
def test_labels_that_the_table_does_not_have_are_an_error(tmp_path, options, message):
    with pytest.raises(ValueError, match=rf"ply_data_train0\.h5: {message}"):
        PartTask(OWN, "own").read(write_own(tmp_path, **options), "train", num_points=97)
