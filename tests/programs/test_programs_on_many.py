"""The three training programs on two processes give the figures and files of one."""

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import train_crosspoint
import train_partseg
from scripts import finetune_cls
from tests.support.entry_programs import call
from tests.support.light_runs import light, log_of, results
from tests.support.pretraining_runs import write_pairs_and_classes
from tests.support.several_processes import (
    START_METHOD,
    be_as_started_anew,
    run_in_own_process,
    run_in_processes,
)
from tests.support.tiny_trees import write_shapenet_part
from utils.cli import run_main

PRETRAIN = (
    "--model pointnet --epochs 2 --lr 1e-6 --exp_name run --batch_size 4 --print_freq 1 --num_points 64 "
    "--image_depth 18 --image_size 32 --num_workers 0 --device cpu --eval_dataset modelnet40 --eval_num_points 64"
).split()
FINETUNE = (
    "--model pointnet --epochs 2 --exp_name run --dataset modelnet40 --batch_size 4 --num_points 97 --lr 1e-6 "
    "--dropout 0 --print_freq 1 --select val --val_fraction 0.34 --device cpu"
).split()
PARTS = (
    "--model pointnet --epochs 2 --exp_name run --batch_size 2 --num_points 64 --lr 1e-6 --dropout 0 --no-use_sgd "
    "--num_workers 0 --print_freq 1 --num_pictures 1 --device cpu"
).split()
PROGRAMS = {"train_crosspoint": train_crosspoint, "finetune_cls": finetune_cls, "train_partseg": train_partseg}
FLAGS = {"train_crosspoint": PRETRAIN, "finetune_cls": FINETUNE, "train_partseg": PARTS}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = write_pairs_and_classes(tmp_path_factory.mktemp("tree"), [f"02/{i:02d}" for i in range(8)])
    write_shapenet_part(folder)
    return folder


def run_program(name, root, out, *flags):
    """Run the program in this process; return the folder of its run."""
    with light():
        call(PROGRAMS[name], *FLAGS[name], "--data_root", root, "--output_dir", out, *flags)
    return out / "run"


def run_on_two(tmp_path, name, root, out, *flags):
    run_in_processes(run_program, 2, tmp_path, name, root, out, *flags, has_group=False)
    return out / "run"


def errors_of(root, out, *flags):
    """Run train_crosspoint.py as a user does; return its exit status and what it writes to stderr."""
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr), pytest.raises(SystemExit) as ended:
        run_main(lambda: run_program("train_crosspoint", root, out, *flags))
    return ended.value.code, stderr.getvalue()


def metrics(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if "loss" in k or "val" in k} for line in lines]


@pytest.fixture(scope="module")
def pretrained_on_two(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    return run_on_two(folder, "train_crosspoint", root, folder / "two")


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_figures_and_files_are_those_of_one_process(root, pretrained_on_two, tmp_path, name):
    one = run_program(name, root, tmp_path / "one")
    two = pretrained_on_two if name == "train_crosspoint" else run_on_two(tmp_path, name, root, tmp_path / "two")
    files = [{str(path.relative_to(run)) for path in run.rglob("*") if path.suffix != ".npy"} for run in (one, two)]
    assert files[0] == files[1]
    for mine, expected in zip(metrics(two), metrics(one), strict=True):
        assert mine == pytest.approx(expected, rel=1e-3)
    assert len(results(one)) == len(results(two)) > 0
    assert log_of(two).count("epoch 1 step 1/") == 1


def test_states_hold_the_draws_of_every_process_and_resume_on_another_number(root, pretrained_on_two, tmp_path):
    run_dir = shutil.copytree(pretrained_on_two, tmp_path / "run")
    state = torch.load(run_dir / "last.pt", weights_only=True)
    assert len(state["rng"]) == 2
    assert not torch.equal(state["rng"][0]["torch"], state["rng"][1]["torch"])
    run_program("train_crosspoint", root, tmp_path, "--resume")
    assert "1 processes go on with a run of 2: the same batches" in log_of(run_dir)


@pytest.fixture
def spoilt(root, tmp_path):
    """A copy of the tree, to be damaged."""
    return shutil.copytree(root, tmp_path / "data")


def test_bad_samples_of_all_processes_are_counted_and_named(spoilt, tmp_path):
    for name in ("00", "05"):
        (spoilt / "ShapeNet" / "02" / f"{name}.ply").write_bytes(b"")
    flags = ("--batch_size", "8", "--eval_freq", "0", "--on_bad_sample", "skip")
    log = log_of(run_on_two(tmp_path, "train_crosspoint", spoilt, tmp_path / "out", *flags))
    assert [log.count(f"02/{name}.ply") > 0 for name in ("00", "05", "01")] == [True, True, False]
    assert log.count("warning: skipped") == 2


def test_where_one_process_fails_the_others_report_that_they_lost_it(spoilt, tmp_path):
    (spoilt / "ShapeNet" / "02" / "03.ply").write_bytes(b"")
    flags = ("--eval_freq", "0", "--batch_size", "8")
    found = run_in_processes(errors_of, 2, tmp_path, spoilt, tmp_path / "out", *flags, has_group=False)
    assert [status for status, _ in found] == [2, 2]
    at_fault = ["03.ply is not a readable PLY file" in message for _, message in found]
    assert sorted(at_fault) == [False, True]
    assert "lost another process" in found[at_fault.index(False)][1]


@pytest.mark.parametrize("model", ["pointnet", "dgcnn"])  # met in the loss; in the features, by each on its own
def test_a_loss_that_is_no_number_makes_one_file(root, tmp_path, model):
    flags = ("--eval_freq", "0", "--lr", "1e30", "--use_sgd", "--model", model, "--k", "5")
    found = run_in_processes(errors_of, 2, tmp_path, root, tmp_path / "out", *flags, has_group=False)
    (path,) = (tmp_path / "out" / "run").glob("nonfinite*")
    assert path.name == "nonfinite.pt"
    for status, message in found:
        assert (status, f"The weights before that step are in {path} " in message) == (2, True)
    if model == "pointnet":
        assert len(torch.load(path, weights_only=True)["failed_batch"]) == 4


def test_a_batch_that_processes_cannot_share_is_one_message_each(root, tmp_path):
    out = tmp_path / "out"
    found = run_in_processes(errors_of, 2, tmp_path, root, out, "--batch_size", "5", has_group=False)
    for status, message in found:
        assert status == 2
        assert "--batch_size 5 is not divisible by 2 ranks; use 4 or 6" in message
    assert not out.exists()


def train_as_started_by_torchrun(root, out):
    be_as_started_anew()
    run_program("train_crosspoint", root, out, "--eval_freq", "0", "--epochs", "1")


def start_by_torchrun(root, out, logs):
    """Do what `torchrun --standalone --nproc_per_node=2` does, with a function in place of a program."""
    place = {"run_id": "tiny", "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "monitor_interval": 0.1}
    logging = DefaultLogsSpecs(log_dir=str(logs), redirects=Std.ALL)
    config = LaunchConfig(1, 1, 2, start_method=START_METHOD, logs_specs=logging, **place)
    elastic_launch(config, train_as_started_by_torchrun)(root, out)


def test_processes_of_torchrun_train_and_report_once(root, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    logs = tmp_path / "logs"
    logs.mkdir()
    run_in_own_process(start_by_torchrun, root, tmp_path, logs)
    printed = [path.read_text() for path in logs.rglob("stdout.log")]
    assert sorted(text.count("pointnet on cpu, 2 processes") for text in printed) == [0, 1]
    assert np.isfinite([line["loss/total"] for line in metrics(tmp_path / "run")]).all()
