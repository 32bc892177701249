import pytest

from utils.classification.recipes import RECIPES
from utils.page.page_tables import results_tables
from utils.results.tasks import figures_of, setting_of
from utils.semseg.semseg_settings import ROOM_CONSTANTS, ROOM_RECIPES, published

CLASSIFICATION = {
    **{"task": "finetune_cls", "protocol": "published", "label_fraction": 1.0, "selected_on": "val", "amp": "none"},
    **{"val_fraction": 0.1, "steps": 4500, **vars(RECIPES["published"])},
}
PARTS = {
    **{"task": "part_segmentation", "protocol": "all_parts", "label_fraction": 1.0, "selected_on": "val"},
    **{"epochs": 300, "batch_size": 8, "use_sgd": True, "lr": 0.001, "momentum": 0.9},
    **{"scheduler": "cos", "dropout": 0.5},
}


FEW_SHOT = {"task": "few_shot", "protocol": "folds", "k_way": 5, "m_shot": 10, "n_query": 20, "n_runs": 10}


@pytest.mark.parametrize("record", [CLASSIFICATION, PARTS])
def test_a_recipe_as_published_needs_no_words(record):
    assert setting_of(record) == "100 % of labels"


@pytest.mark.parametrize(
    ("record", "change", "words"),
    [
        (CLASSIFICATION, {"epochs": 4, "steps": 80}, "80 steps"),
        (CLASSIFICATION, {"emb_dims": 512}, "emb_dims 512"),
        (CLASSIFICATION, {"batch_size": 16}, "batch_size 16"),
        (CLASSIFICATION, {"lr": 0.01}, "lr 0.01"),
        (CLASSIFICATION, {"use_sgd": True}, "use_sgd True"),
        (CLASSIFICATION, {"final_lr": 1e-5}, "final_lr 1e-05"),
        (CLASSIFICATION, {"amp": "fp16"}, "amp fp16"),
        (CLASSIFICATION, {"val_fraction": 0.2}, "val_fraction 0.2"),
        (CLASSIFICATION, {"val_fraction": 0.2, "selected_on": "last"}, "selected_on last"),
        (PARTS, {"epochs": 4}, "epochs 4"),
        (PARTS, {"lr": 0.003}, "lr 0.003"),
        (PARTS, {"use_sgd": False}, "use_sgd False"),
        (PARTS, {"class_choice": "chair"}, "class_choice chair"),
    ],
)
def test_a_changed_constant_makes_another_setting_and_another_row_of_the_page(record, change, words):
    assert setting_of(record | change) == f"100 % of labels, {words}"
    pair = [record | {"weights": "checkpoint"}, record | change | {"weights": "checkpoint"}]
    figures = [one | {"dataset": "d", "accuracy": 0.5} for one in pair]
    (task,) = results_tables({"run": [{"results": figures}]})["tasks"]
    assert len(task["rows"]) == 2
    assert sum(words in row["detail"] for row in task["rows"]) == 1


def test_figures_of_other_folds_stand_in_another_row():
    figures = [FEW_SHOT | {"dataset": "d", "accuracy": 0.5, "folds_sha256": digit * 64} for digit in "ab"]
    assert setting_of(figures[0]) == "5-way 10-shot, 20 queries, 10 runs, folds aaaaaaaaaaaa"
    (task,) = results_tables({"run": [{"results": figures}]})["tasks"]
    assert len(task["rows"]) == 2


def test_the_final_rate_of_a_recipe_is_a_share_of_the_rate():
    changed = CLASSIFICATION | vars(RECIPES["dgcnn"]) | {"protocol": "dgcnn", "lr": 0.2, "final_lr": 0.01 * 0.2}
    assert setting_of(changed) == "100 % of labels, lr 0.2"


def test_a_segmentation_of_rooms_as_published_needs_few_words_and_figures_stand_in_the_table():
    record = {"task": "semantic_segmentation", "dataset": "scannet", "label_fraction": 0.2, "probe": "linear"}
    record |= {"voting": False, **vars(ROOM_RECIPES["scannet"]), **ROOM_CONSTANTS}
    assert setting_of(record) == "20 % of the rooms, linear probe"
    changed = record | {"voxel": 0.05, "steps": 300, "voting": 4, "augment": False}
    assert setting_of(changed) == "20 % of the rooms, linear probe, 4 votes, voxel 0.05, steps 300, augment False"
    assert figures_of(record | {"miou": 0.5, "accuracy": 0.75}) == {"miou": 0.5, "accuracy": 0.75}


@pytest.mark.parametrize("model", ["dgcnn", "pointnet"])
def test_a_segmentation_by_blocks_as_published_needs_few_words(model):
    record = {"task": "semantic_segmentation", "protocol": "blocks", "dataset": "s3dis", "label_fraction": 1.0}
    record |= {"model": model, "probe": "none", "voting": False, "epochs": 100, **published(model, "s3dis")}
    assert setting_of(record) == "100 % of the rooms"
    assert setting_of(record | {"epochs": 50, "k": 5}) == "100 % of the rooms, epochs 50"  # k has a column of its own
    short = record | {"epochs": 3, "steps": 300, "block_stride": 0.5, "dropout": 0.1}
    assert setting_of(short) == "100 % of the rooms, dropout 0.1, steps 300, block_stride 0.5"
