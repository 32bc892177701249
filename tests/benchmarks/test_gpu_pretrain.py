"""benchmarks/gpu.sh --pretrain on the CPU, with tiny data in place of what is made there."""

import importlib
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.gpu import gpu_pretrain
from data import merge
from tests.conftest import REPO
from tests.support.pretraining_runs import write_pairs
from tests.support.program_calls import run
from tests.support.tiny_trees import labelled, write_h5
from utils.files import write_text

PROBED = "".join(f'{{"epoch": {epoch}, "hours": {hours}}}\n' for epoch, hours in enumerate((1, 2, 2.5)))
TINY = ("--model pointnet --k 5 --points 16 --batch 3 --workers 1 --seed 3 --device cpu".split(), "--emb_dims 16")


@pytest.fixture
def called(monkeypatch):
    """Run programs in this process, but put tiny data where make_shapes would, and times where the probe would.

    Returns:
        All calls.
    """
    calls = []

    def run_here(program, words):
        calls.append((program, words))
        module = importlib.import_module(program)
        args = module.parse_args(words)
        if program == "data.make_shapes":
            write_pairs(args.out)
            for split, classes in (("training", [0, 1, 14] * 4), ("test", [0, 1, 14])):
                file = args.out / "ScanObjectNN" / "main_split" / f"{split}_objectdataset.h5"
                write_h5(file, **labelled(classes, num_points=1024))
        elif "probe" in words:
            write_text(Path(args.output_dir, "probe", "metrics.jsonl"), PROBED)
        else:
            module.main(args)

    monkeypatch.setattr(gpu_pretrain, "run_program", run_here)
    return calls


def test_it_makes_data_trains_for_the_time_given_and_brings_weights_records_and_scores(called, tmp_path):
    flags, small = TINY
    recipe = f"--recipe=--cmid_weight 0 --image_depth 18 --num_points 999 --ema_decay 0.5 {small}"
    out = tmp_path / "out" / "pretrain"
    run(gpu_pretrain, *flags, "--programs", "0", "--train_minutes", "0.0001", recipe, "--more=--lr 0.5", "--out", out)
    assert [program for program, _ in called] == [
        *("data.make_shapes", "data.merge", "data.pack", "train_crosspoint", "train_crosspoint"),
        *["scripts.eval_svm"] * 3,
    ]
    record = json.loads((out / "gpu_pretrain.json").read_text())
    assert list(record["seconds"]) == ["data", "probe", "training", "scores"]
    assert record["seconds_per_epoch"] == 1800  # of the last one, when all is warm
    assert (record["epochs"], record["last_epoch"]["epoch"]) == (1, 0)
    assert {result["encoder_seed"] for result in record["results"]} == {3, None}
    flags = json.loads((out / "config.json").read_text())["flags"]
    assert [flags[name] for name in ("num_points", "lr", "ema_decay", "seed")] == [16, 0.5, 0.5, 3]
    kept = sorted(path.relative_to(tmp_path / "out").as_posix() for path in out.rglob("*") if path.is_file())
    assert len(kept) <= 8  # what a lent machine gives back, and from how deep
    assert max(name.count("/") for name in kept) <= 2
    assert "pretrain/models/ckpt_epoch_last.pth" in kept


@pytest.mark.parametrize("minutes, train_minutes, expected", [("10", "6", 180), ("3.75", "6", 90), ("0.1", "6", 1)])
def test_epochs_fill_the_time_that_is_left(minutes, train_minutes, expected, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(gpu_pretrain, "make_data", lambda args, work: work)
    monkeypatch.setattr(gpu_pretrain, "score", lambda args, work: [])
    monkeypatch.setattr(gpu_pretrain, "time", SimpleNamespace(perf_counter=float))

    def train(args, data, folder, epochs):
        asked.append(epochs)
        return [{"hours": 0.0}, {"hours": 0.0}, {"hours": 2 / 3600}]

    monkeypatch.setattr(gpu_pretrain, "train", train)
    run(gpu_pretrain, "--device", "cpu", "--minutes", minutes, "--train_minutes", train_minutes, "--out", tmp_path)
    assert asked == [3, expected]
    with pytest.raises(ValueError, match="is not empty"):
        run(gpu_pretrain, "--device", "cpu", "--out", tmp_path)


def test_generated_shapes_are_asked_for(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(gpu_pretrain, "run_program", lambda *call: calls.append(call))
    args = gpu_pretrain.parse_args(["--programs", "7", "--out", "x"])
    gpu_pretrain.make_data(args, tmp_path)
    assert [program for program, _ in calls] == ["data.make_shapes", "data.make_programs", "data.merge", "data.pack"]
    assert "7" in calls[1][1]
    assert [path.name for path in merge.parse_args(calls[2][1]).roots] == ["shapes", "programs"]


def test_the_shell_script_hands_the_recipe_and_its_arguments_on(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"$0.calls"\n')
    python.chmod(0o755)
    variables = os.environ | {"PYTHON": str(python), "OUT": str(tmp_path)}
    subprocess.run(["bash", str(REPO / "benchmarks/gpu.sh"), "--pretrain", "--batch", "9"], env=variables, check=True)
    args = gpu_pretrain.parse_args((tmp_path / "python.calls").read_text().splitlines()[2:])
    assert (args.batch, str(args.out)) == (9, str(tmp_path / "pretrain"))
    crosspoint = importlib.import_module("train_crosspoint")
    assert crosspoint.parse_args(args.recipe.split()).image_depth == 18
