"""A method of its own file trains, resumes exactly, runs on two processes and is scored, with no other file edited."""

import json

import pytest
import torch

from scripts import eval_svm
from tests.support.interruption import stopped_after
from tests.support.several_processes import run_in_processes
from tests.support.tiny_trees import labelled, write_h5, write_shapenet
from tests.toy import pretrain_byol


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = write_shapenet(tmp_path_factory.mktemp("tree"), [f"02/{i}" for i in range(8)], num_points=80, num_views=0)
    for split, labels in (("train", [0, 0, 0, 1, 1, 1]), ("test", [1, 0])):
        shard = folder / "modelnet40_ply_hdf5_2048" / f"ply_data_{split}0.h5"
        write_h5(shard, **labelled(labels, seed=len(labels), num_points=64))
    return folder


def train(root, out, *flags):
    words = ["--data_root", str(root), "--output_dir", str(out), "--exp_name", "byol", "--model", "pointnet"]
    words += ["--batch_size", "4", "--num_points", "64", "--num_workers", "0", "--device", "cpu", "--print_freq", "1"]
    pretrain_byol.main(pretrain_byol.parse_args([*words, "--eval_num_points", "64", *flags]))
    return str(out / "byol")


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("byol")
    train(root, out)
    return out / "byol"


def state(run_dir):
    return torch.load(f"{run_dir}/last.pt", weights_only=True)


def losses(run_dir):
    with open(f"{run_dir}/metrics.jsonl") as lines:
        return [json.loads(line)["loss/byol"] for line in lines]


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
    resumed = state(train(root, tmp_path, "--resume"))["method"]
    expected = state(trained)["method"]
    assert [name for name in expected if not torch.equal(expected[name], resumed[name])] == []


def test_two_processes_train_what_one_does(root, tmp_path):
    one = train(root, tmp_path / "one", "--lr", "1e-6")
    run_in_processes(train, 2, tmp_path, root, tmp_path / "two", "--lr", "1e-6", has_group=False)
    assert losses(tmp_path / "two" / "byol") == pytest.approx(losses(one), rel=1e-3)


def test_its_encoder_is_scored_by_the_svm_at_the_end_and_by_the_evaluation_program(root, trained, tmp_path):
    at_the_end = json.loads((trained / "results.json").read_text())["results"]
    report = tmp_path / "svm.json"
    words = ["--model_path", str(trained / "models/best_model.pth"), "--data_root", str(root), "--num_points", "64"]
    eval_svm.main(eval_svm.parse_args([*words, "--device", "cpu", "--seed", "1", "--json", str(report)]))
    alone = json.loads(report.read_text())["results"]
    assert [record["accuracy"] for record in alone] == [record["accuracy"] for record in at_the_end]
    assert {record["protocol"] for record in alone} == {"published", "fair", "knn"}
