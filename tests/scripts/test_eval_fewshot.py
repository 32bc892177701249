"""`python -m scripts.eval_fewshot` on tiny trees in the real layouts."""

import json
from unittest.mock import patch

import numpy as np
import pytest

from scripts import eval_fewshot
from tests.support import program_calls
from tests.support.entry_programs import write_encoder
from tests.support.program_calls import run
from tests.support.tiny_trees import labelled, write_h5, write_scanobjectnn
from utils.evaluation.few_shot import score_episodes

SIZES = (5, 6, 7, 3)  # clouds of each class in train
RANDOM = ("--random_init", "--model", "pointnet")
SMALL = ("--num_points", 31, "--m_shot", 2, "--n_query", 3, "--n_runs", 3, "--k_way", 2)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    classes = np.repeat(np.arange(len(SIZES)), SIZES)
    for split, labels in (("train", classes), ("test", [0, 1, 2, 3, 0, 1, 2, 3])):
        arrays = labelled(labels, num_points=37, seed=len(labels))
        arrays["data"] *= 1 + 0.01 * arrays["label"][:, None]  # something to tell the classes by, if little
        write_h5(root / f"ply_data_{split}0.h5", **arrays)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("models") / "best_model.pth", k=7)


def evaluate(*flags, root):
    run(eval_fewshot, *RANDOM, "--data_root", root, "--device", "cpu", *flags)


def records_of(*flags, root, tmp_path):
    path = tmp_path / "results.json"
    evaluate(*SMALL, *flags, "--json", path, root=root)
    return json.loads(path.read_text())["results"]


def message_of(*flags, root, capsys):
    return program_calls.message_of(capsys, eval_fewshot, *RANDOM, "--data_root", root, "--device", "cpu", *flags)


def accuracies(*flags, root):
    """Return the accuracies of all episodes of a call."""
    seen = []
    with patch.object(eval_fewshot, "score_episodes", lambda *args: seen.append(score_episodes(*args)) or seen[-1]):
        evaluate(*SMALL, "--n_runs", 9, *flags, root=root)
    return [score.accuracies.tolist() for score in seen]


def test_the_record_holds_figures_constants_and_the_trained_k(root, checkpoint, tmp_path):
    path = tmp_path / "results.json"
    flags = (*SMALL, "--data_root", root, "--device", "cpu", "--seed", 5)
    run(eval_fewshot, "--model_path", checkpoint, *flags, "--json", path)
    (record,) = json.loads(path.read_text())["results"]
    assert (record["task"], record["protocol"], record["split"]) == ("few_shot", "published", "train")
    assert [record[name] for name in ("k_way", "m_shot", "n_query", "n_runs", "c", "seed")] == [2, 2, 3, 3, 1.0, 5]
    assert (record["model"], record["k"], record["num_points"]) == ("dgcnn", 7, 31)
    assert (record["num_train"], record["num_test"], record["num_classes"]) == (21, None, 40)
    assert (record["weights"], record["checkpoint"]) == ("checkpoint", str(checkpoint))
    assert 0 <= record["accuracy"] <= 1
    assert record["accuracy_std"] >= 0


def test_all_four_published_settings_are_the_default():
    args = eval_fewshot.parse_args(["--random_init"])
    eval_fewshot._check(args)
    assert (args.k_way, args.m_shot, args.n_query, args.n_runs) == ((5, 10), (10, 20), 20, 50)
    assert args.num_points == 2048


@pytest.mark.parametrize("ways, shots", [(5, 10), (5, 20), (10, 10), (10, 20)])
def test_the_published_command_lines_are_understood(ways, shots):
    line = f"--model_path path-to-trained-model --dataset modelnet40 --k_way {ways} --m_shot {shots} --n_runs 50"
    args = eval_fewshot.parse_args(line.split())
    assert (args.k_way, args.m_shot) == ([ways], [shots])


def test_a_setting_has_the_same_figure_whatever_else_is_in_the_call(root, tmp_path):
    together = records_of("--k_way", 3, 2, "--m_shot", 1, 2, root=root, tmp_path=tmp_path)
    assert [(record["k_way"], record["m_shot"]) for record in together] == [(3, 1), (3, 2), (2, 1), (2, 2)]
    (alone,) = records_of(root=root, tmp_path=tmp_path)
    assert alone == together[-1]


@pytest.mark.parametrize(
    "flags",
    [
        ("--k_way", 3), ("--m_shot", 1), ("--n_query", 2), ("--n_runs", 4), ("--seed", 1), ("--num_points", 11),
        ("--normalize",), ("--model", "dgcnn", "--k", 5),
    ],
)  # fmt: skip
def test_each_flag_changes_the_accuracies_of_episodes(flags, root):
    plain = accuracies(root=root)
    assert plain == accuracies(root=root)
    assert plain != accuracies(*flags, root=root)


def test_classes_that_are_too_small_are_left_out_with_a_note(root, capsys):
    evaluate(*SMALL, root=root)
    assert "note: 2 way 2 shot: 1 of 4 classes have fewer than 5 clouds and are left out" in capsys.readouterr().out
    evaluate(*SMALL, "--n_query", 1, root=root)
    assert "note" not in capsys.readouterr().out


def test_episodes_written_as_folds_score_the_same(root, tmp_path):
    settings = ("--k_way", 2, 3, "--write_folds", tmp_path / "folds")
    drawn = records_of(*settings, root=root, tmp_path=tmp_path)
    path = tmp_path / "again.json"
    folds = ("--protocol", "folds", "--folds", tmp_path / "folds")
    evaluate(*folds, "--num_points", 31, "--json", path, root=root)
    read = json.loads(path.read_text())["results"]
    assert [record.pop("protocol") for record in [*drawn, *read]] == ["published"] * 2 + ["folds"] * 2
    assert {record.pop("folds") for record in read} == {str(tmp_path / "folds")}
    (digest,) = {record.pop("folds_sha256") for record in read}
    assert read == drawn
    fold = next((tmp_path / "folds").iterdir())
    fold.write_text(fold.read_text() + " ")
    evaluate(*folds, "--num_points", 31, "--json", path, root=root)
    (other,) = {record["folds_sha256"] for record in json.loads(path.read_text())["results"]}
    assert (len(digest), other == digest) == (64, False)


def test_a_fold_with_queries_of_the_test_split_is_scored(root, tmp_path, capsys):
    fold = {"support": {"train": [0, 1, 5, 6]}, "query": {"test": [0, 4, 1, 5]}}
    (tmp_path / "fold.json").write_text(json.dumps(fold))
    evaluate("--protocol", "folds", "--folds", tmp_path / "fold.json", "--num_points", 31, root=root)
    line = capsys.readouterr().out.splitlines()[-1]
    assert "protocol=folds dataset=modelnet40 split=test c=1.0 k_way=2 m_shot=2 n_query=2 n_runs=1 " in line
    assert f"n_runs=1 folds={tmp_path / 'fold.json'} accuracy=" in line
    assert "ci95" not in line


def test_the_variants_of_scanobjectnn_are_read(tmp_path, capsys):
    write_scanobjectnn(tmp_path)
    flags = ("--dataset", "scanobjectnn", "--variant", "hardest", "--num_points", 31, "--m_shot", 10)
    assert "0 of the 3 classes" in message_of(*flags, root=tmp_path, capsys=capsys)


def test_no_report_is_overwritten_and_no_encoder_run_when_a_setting_cannot_be_drawn(root, tmp_path, capsys):
    path = tmp_path / "results.json"
    path.write_text('{"results": ["precious"]}')
    message = message_of(*SMALL, "--k_way", 2, 4, "--json", path, root=root, capsys=capsys)
    assert "4 way 2 shot with 3 queries a class needs 4 classes of at least 5 clouds, but 3 of the 4" in message
    assert "--n_query 1 or less" in message
    assert "precious" in path.read_text()


@pytest.mark.parametrize(
    "flags, expected",
    [
        (("--k_way", 5, 1), "--k_way must be at least 2, got 1"),
        (("--m_shot", 0), "--m_shot must be at least 1, got 0"),
        (("--n_query", 0), "--n_query must be at least 1, got 0"),
        (("--n_runs", 0), "--n_runs must be at least 1, got 0"),
        (("--folds", "x"), "--folds PATH and --protocol folds go together"),
        (("--protocol", "folds"), "--folds PATH and --protocol folds go together"),
        (("--protocol", "folds", "--folds", "x", "--n_runs", 3), "--n_runs belongs to --protocol published"),
        (("--protocol", "folds", "--folds", "nowhere"), "no fold at nowhere"),
        (("--num_points", 38), "holds 37 points a cloud, 38 were asked for"),
    ],
)
def test_flags_that_do_not_fit_are_one_message(flags, expected, root, capsys):
    assert expected in message_of(*flags, root=root, capsys=capsys)


def test_folds_are_not_mixed_with_those_of_another_call(root, tmp_path, capsys):
    (tmp_path / "old.json").write_text("{}")
    assert "already holds JSON files" in message_of("--write_folds", tmp_path, root=root, capsys=capsys)
