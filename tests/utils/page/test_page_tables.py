import pytest

from tests.support.run_folders import record
from utils.page.page_tables import detail, results_tables, title
from utils.semseg.semseg_settings import published


def tables(**runs):
    return results_tables({name: [{"results": records}] for name, records in runs.items()})


def cells(table, figure="accuracy", task=0, row=0):
    (found,) = (f for f in table["tasks"][task]["rows"][row]["figures"] if f["name"] == figure)
    return [cell and cell["mean"] for cell in found["cells"]]


def test_random_stands_beside_pretrained_whichever_run_brought_it():
    table = tables(scratch=[record(weights="random", accuracy=0.25)], tuned=[record(accuracy=0.75)])
    assert table["columns"] == ["random", "tuned"]
    assert cells(table) == [0.25, 0.75]


def test_runs_have_a_column_each_and_a_gap_where_one_was_not_measured():
    table = tables(a=[record(accuracy=0.5)], b=[record(accuracy=0.25), record(dataset="scanobjectnn", accuracy=1.0)])
    assert table["columns"] == ["a", "b"]
    assert cells(table) == [0.5, 0.25]
    assert cells(table, row=1) == [None, 1.0]


@pytest.mark.parametrize(
    "changed",
    [{"num_points": 512}, {"variant": "hardest"}, {"normalize": True}, {"c": 1.0}, {"protocol": "knn"}, {"k": 20},
     {"label_fraction": 0.1}, {"num_test": 8}, {"frozen": True}],
)  # fmt: skip
def test_figures_of_different_settings_never_share_a_row(changed):
    assert len(tables(a=[record(), record(**changed)])["tasks"][0]["rows"]) == 2


def test_probes_of_rooms_and_schedules_of_detectors_have_rows_of_their_own_that_name_them():
    rooms = {"task": "semantic_segmentation", "dataset": "scannet", "label_fraction": 0.2, "voting": False}
    rooms |= {**published("sr_unet", "scannet"), "model": "sr_unet 14A", "miou": 0.5}
    found = {"task": "detection", "num_proposals": 8, "batch_size": 2, "epochs": 9, "inputs": "height", "map": 0.5}
    found |= {"mean_sizes": "published", "eval_sampling": "seed_fps"}
    records = [record(**rooms, probe=probe) for probe in ("none", "linear_bn")]
    segmented, detected = tables(a=[*records, *(record(**found, lr=lr) for lr in (0.1, 0.2))])["tasks"]
    assert ["linear_bn probe" in row["detail"] for row in segmented["rows"]] == [False, True]
    assert ["lr 0.1" in row["detail"] for row in detected["rows"]] == [True, False]


def test_the_fair_protocol_shares_a_row_whatever_c_it_chose():
    assert len(tables(a=[record(protocol="fair", c=1), record(protocol="fair", c=2, seed=2)])["tasks"][0]["rows"]) == 1


def test_seeds_are_averaged_with_their_sample_deviation():
    table = tables(a=[record(seed=1, accuracy=0.5), record(seed=2, accuracy=0.7)])
    (cell,) = table["tasks"][0]["rows"][0]["figures"][0]["cells"]
    spread = pytest.approx(0.14142, abs=1e-5)
    assert cell == {"mean": 0.6, "spread": spread, "source": "2 seeds of evaluation", "mark": "†"}
    encoders = [record(weights="random", encoder_seed=seed, seed=seed, accuracy=0.3 + 0.2 * seed) for seed in (1, 2)]
    (cell,) = tables(a=encoders)["tasks"][0]["rows"][0]["figures"][0]["cells"]
    assert cell == {"mean": 0.6, "spread": spread, "source": "2 seeds of the weights", "mark": ""}


def test_encoders_of_one_seed_are_not_averaged():
    one, other = (record(checkpoint=f"{name}.pth", checkpoint_sha256=name) for name in ("one", "other"))
    with pytest.raises(ValueError, match=r"^a: its results of seed 1 are of different encoders, one.pth and other.pth"):
        tables(a=[one, other])
    assert tables(a=[one], b=[other])["columns"] == ["a", "b"]


def test_a_random_encoder_that_two_runs_measured_counts_once():
    random = [record(weights="random", encoder_seed=1, accuracy=0.25)]
    (cell, *_) = tables(a=[*random, record()], b=[*random, record()])["tasks"][0]["rows"][0]["figures"][0]["cells"]
    assert (cell["mean"], cell["spread"]) == (0.25, None)


def test_one_few_shot_record_brings_its_own_deviation():
    few = record(task="few_shot", k_way=5, m_shot=10, n_runs=50, accuracy_std=0.04)
    (cell,) = tables(a=[few])["tasks"][0]["rows"][0]["figures"][0]["cells"]
    assert (cell["spread"], cell["source"], cell["mark"]) == (0.04, "50 episodes", "‡")


def test_every_task_has_its_figures_and_tasks_come_in_their_order():
    retrieval = {"task": "retrieval", "recall_1": 0.5, "recall_5": 0.6, "recall_10": 0.7, "map": 0.4, "chance": 0.01}
    parts = {"task": "part_segmentation", "miou_instance": 0.8, "miou_class": 0.7, "accuracy": 0.9}
    parts |= {"miou_by_category": {"mug": 0.9, "cap": 0.5}}
    table = tables(a=[retrieval, {"task": "new_task", "accuracy": 1}, parts])
    titles = [task["title"] for task in table["tasks"]]
    assert titles == ["Part segmentation", "Retrieval between images and shapes", "new task"]
    part, retrieved = (task["rows"][0] for task in table["tasks"][:2])
    assert [figure["name"] for figure in part["figures"]] == ["accuracy", "instance mIoU", "class mIoU"]
    assert part["categories"] == {"cap": [0.5], "mug": [0.9]}
    assert [figure["name"] for figure in retrieved["figures"]] == ["recall@1", "recall@5", "recall@10", "mAP"]
    assert retrieved["chance"] == 0.01


def test_ways_and_shots_are_sorted_as_numbers_beside_records_without_them():
    sizes = ((10, 20), (5, 20), (10, 5), (5, 10))
    few = [record(task="few_shot", k_way=way, m_shot=shot, n_query=20, n_runs=50) for way, shot in sizes]
    rows = tables(a=[*few, record(task="few_shot")])["tasks"][0]["rows"]
    found = [row["title"].removeprefix("modelnet40").removeprefix(" · ") for row in rows]
    assert found == ["", "5-way 10-shot", "5-way 20-shot", "10-way 5-shot", "10-way 20-shot"]


def test_a_row_says_what_it_is():
    tuned = record(task="finetune_cls", variant="hardest", label_fraction=0.05, frozen=True, voting=10, lr=0.5)
    assert title(tuned) == "modelnet40 hardest · 5 % of labels"
    data = "dgcnn · 1024 points · 11 train · 7 test"
    assert detail(tuned) == f"published · C 0.1 · {data} · frozen encoder · 10 votes · lr 0.5"
    assert detail(record(protocol="fair", normalize=True)) == f"fair · {data} · normalised"
