"""A method of its own file trains, resumes exactly, runs on two processes and is scored, with no other file edited."""

import json

import pytest
import torch

from scripts import eval_svm
from tests.support.entry_programs import call
from tests.support.interruption import stopped_after
from tests.support.light_runs import metrics, results, same, weights
from tests.support.pretraining_runs import write_pairs_and_classes
from tests.support.several_processes import run_in_processes
from tests.toy import pretrain_byol


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_pairs_and_classes(tmp_path_factory.mktemp("tree"), [f"02/{i}" for i in range(8)])


def train(root, out, *flags):
    command = (
        *("--exp_name", "byol", "--model", "pointnet", "--batch_size", "4", "--num_points", "64", "--num_workers", "0"),
        *("--device", "cpu", "--print_freq", "1", "--eval_num_points", "64", "--data_root", root, "--output_dir", out),
    )
    call(pretrain_byol, *command, *flags)
    return out / "byol"


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    return train(root, tmp_path_factory.mktemp("byol"))


def test_it_trains_and_its_teacher_is_the_moving_average_of_the_student():
    torch.manual_seed(0)
    method = pretrain_byol.Byol(pretrain_byol.build_encoder("pointnet"), decay=0.75).train()
    before = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    method({"aug_a": torch.rand(4, 32, 3), "aug_b": torch.rand(4, 32, 3)})["loss/byol"].backward()
    assert [method.teacher.training, method.point_encoder.training] == [False, True]
    assert all(p.grad is None for p in method.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in method.teacher.state_dict().items())
    torch.optim.SGD(method.point_encoder.parameters(), lr=1.0).step()
    method.after_update(1)
    student = method.point_encoder.state_dict()
    for name, value in method.teacher.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * student[name])


def test_the_loop_moves_the_teacher_once_an_update(root, tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(pretrain_byol.Byol, "after_update", lambda method, step: steps.append(step))
    train(root, tmp_path)
    assert steps == [1, 2, 3, 4]


def test_it_resumes_exactly_in_the_middle_of_an_epoch(root, trained, tmp_path):
    with stopped_after(step=1):
        train(root, tmp_path)
    assert same(weights(train(root, tmp_path, "--resume")), weights(trained))


def test_two_processes_train_what_one_does(root, tmp_path):
    one = train(root, tmp_path / "one", "--lr", "1e-6")
    run_in_processes(train, 2, tmp_path, root, tmp_path / "two", "--lr", "1e-6", has_group=False)
    assert metrics(tmp_path / "two" / "byol", "loss/byol") == pytest.approx(metrics(one, "loss/byol"), rel=1e-3)


def test_its_encoder_is_scored_by_the_svm_at_the_end_and_by_the_evaluation_program(root, trained, tmp_path):
    report = tmp_path / "svm.json"
    words = ("--model_path", trained / "models/best_model.pth", "--data_root", root, "--num_points", "64")
    call(eval_svm, *words, "--device", "cpu", "--seed", "1", "--json", report)
    alone = json.loads(report.read_text())["results"]
    assert [record["accuracy"] for record in alone] == [record["accuracy"] for record in results(trained)]
    assert {record["protocol"] for record in alone} == {"published", "fair", "knn"}
