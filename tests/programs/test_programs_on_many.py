"""The three training programs on two processes: the figures and files of one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import train_crosspoint
import train_partseg
from scripts import finetune_cls
from tests.conftest import REPO
from tests.support.several_processes import run_in_processes
from tests.support.tiny_trees import labelled, write_h5, write_shapenet, write_shapenet_part

PRETRAIN = (
    "--model pointnet --epochs 2 --lr 1e-6 --exp_name run --batch_size 4 --print_freq 1 --num_points 64 "
    "--image_depth 18 --image_size 32 --num_workers 0 --device cpu --eval_dataset modelnet40"
).split()
FINETUNE = (
    "--model pointnet --epochs 2 --exp_name run --dataset modelnet40 --batch_size 4 --num_points 97 --lr 1e-6 "
    "--dropout 0 --print_freq 1 --select val --val_fraction 0.34 --device cpu"
).split()
PARTS = (
    "--model pointnet --epochs 2 --exp_name run --batch_size 2 --num_points 64 --lr 1e-6 --dropout 0 --no-use_sgd "
    "--num_workers 0 --print_freq 1 --device cpu"
).split()
PROGRAMS = {"train_crosspoint": train_crosspoint, "finetune_cls": finetune_cls, "train_partseg": train_partseg}
FLAGS = {"train_crosspoint": PRETRAIN, "finetune_cls": FINETUNE, "train_partseg": PARTS}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = write_shapenet(tmp_path_factory.mktemp("tree"), [f"02/{i:02d}" for i in range(8)], num_points=80, size=40)
    shards = folder / "modelnet40_ply_hdf5_2048"
    write_h5(shards / "ply_data_train0.h5", **labelled([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2], num_points=1024))
    write_h5(shards / "ply_data_test0.h5", **labelled([2, 0, 1], seed=90, num_points=1024))
    write_shapenet_part(folder)
    return folder


def run_program(name, root, out, *flags):
    """The program in this process; returns the folder of its run."""
    words = [*FLAGS[name], "--data_root", str(root), "--output_dir", str(out), *flags]
    PROGRAMS[name].main(PROGRAMS[name].parse_args(words))
    return str(out / "run")


def metrics(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if "loss" in k or "val" in k} for line in lines]


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_figures_and_files_are_those_of_one_process(root, tmp_path, name):
    one, two = tmp_path / "one", tmp_path / "two"
    run_program(name, root, one)
    run_in_processes(run_program, 2, tmp_path, name, root, two, is_joined=False)
    files = [{str(path.relative_to(out)) for path in out.rglob("*") if path.suffix != ".npy"} for out in (one, two)]
    assert files[0] == files[1]
    for mine, expected in zip(metrics(two / "run"), metrics(one / "run"), strict=True):
        assert mine == pytest.approx(expected, rel=1e-3)
    records = [json.loads((out / "run" / "results.json").read_text())["results"] for out in (one, two)]
    assert [len(r) for r in records] == [len(records[0])] * 2
    assert (two / "run" / "run.log").read_text().count("epoch 1 step 1/") == 1


def test_states_hold_the_draws_of_every_process_and_resume_on_another_number(root, tmp_path):
    run_in_processes(run_program, 2, tmp_path, "train_crosspoint", root, tmp_path / "out", is_joined=False)
    state = torch.load(tmp_path / "out" / "run" / "last.pt", weights_only=True)
    assert len(state["rng"]) == 2
    assert not torch.equal(state["rng"][0]["torch"], state["rng"][1]["torch"])
    run_dir = run_program("train_crosspoint", root, tmp_path / "out", "--resume")
    log = Path(run_dir, "run.log").read_text()
    assert "1 processes go on with a run of 2: the same batches" in log


def test_bad_samples_of_all_processes_are_counted_and_named(root, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(root, folder)
    for name in ("00", "05"):
        (folder / "ShapeNet" / "02" / f"{name}.ply").write_bytes(b"")
    flags = ("--batch_size", "8", "--eval_freq", "0", "--on_bad_sample", "skip")
    run_in_processes(run_program, 2, tmp_path, "train_crosspoint", folder, tmp_path / "out", *flags, is_joined=False)
    log = (tmp_path / "out" / "run" / "run.log").read_text()
    assert [log.count(f"02/{name}.ply") > 0 for name in ("00", "05", "01")] == [True, True, False]
    assert log.count("warning: skipped") == 2


def test_where_one_process_fails_the_others_say_that_they_lost_it(root, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(root, folder)
    (folder / "ShapeNet" / "02" / "03.ply").write_bytes(b"")
    flags = ["--data_root", str(folder), "--output_dir", str(tmp_path), "--eval_freq", "0", "--batch_size", "8"]
    done = torchrun("train_crosspoint.py", *PRETRAIN, *flags)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert sum("03.ply is not a readable PLY file" in line for line in said) == 1
    assert all("lost another process" in line for line in said if "03.ply" not in line)
    assert "Traceback" not in done.stderr.partition("torch/distributed/elastic")[0]


def torchrun(*words, **options):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *words]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300, env=environment, **options)


def test_torchrun_trains_and_reports_once(root, tmp_path):
    flags = ["--data_root", str(root), "--output_dir", str(tmp_path), "--eval_freq", "0"]
    done = torchrun("train_crosspoint.py", *PRETRAIN, *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pointnet on cpu, 2 processes") == 1
    assert np.isfinite([line["loss/total"] for line in metrics(tmp_path / "run")]).all()


def test_a_batch_that_processes_cannot_share_is_one_message_each(root, tmp_path):
    flags = ["--data_root", str(root), "--output_dir", str(tmp_path), "--batch_size", "5"]
    done = torchrun("train_crosspoint.py", *PRETRAIN, *flags)
    assert done.returncode != 0
    assert "error: --batch_size 5 is not divisible by 2 ranks; use 4 or 6" in done.stderr
    assert not list(tmp_path.iterdir())
