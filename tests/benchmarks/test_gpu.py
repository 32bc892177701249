"""The programs behind benchmarks/gpu.sh, on the CPU with tiny sizes."""

import json
import os
import subprocess

import pytest
import torch

from benchmarks import multiview_step, point_towers
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import gpu_check, gpu_kernels, gpu_scenes, gpu_step
from benchmarks.sparse_conv import comparison
from models.kernels import knn
from tests.conftest import REPO
from tests.support.light_runs import light
from tests.support.program_calls import run
from tests.support.tiny_rooms import tiny_plan

TINY_STEP = "--batch 3 --points 24 --k 4 --image_size 32 --image_depth 18 --steps 1 --device cpu".split()
TINY_CHECK = "--clouds 2 --points 24 --k 4 --device cpu".split()
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(gpu_check, "LAYERS", ((3, 8),))
    monkeypatch.setattr(gpu_step, "WARM_UP", 1)


@pytest.mark.parametrize("form", ["published", "bf16"])
def test_a_step_of_each_form_is_measured(tmp_path, form):
    path = tmp_path / "step.json"
    with light():  # a ResNet in bfloat16 takes seconds
        assert run(gpu_step, *TINY_STEP, "--form", form, "--json", path) == 0
    figures = json.loads(path.read_text())
    assert figures["form"] == form
    assert figures["shapes_per_s"] == pytest.approx(3e3 / figures["step_ms"])
    assert min(figures[name] for name in ("step_ms", "peak_mib", "points_ms", "images_ms")) > 0


def test_both_sides_of_the_step_start_from_the_same_loss():
    losses = []
    for form in ("published", "float32"):
        args = gpu_step.parse_args([*TINY_STEP, "--form", form])
        method, _ = gpu_step.build(gpu_step.FORMS[form], args, CPU)
        batch = gpu_step.make_batch(args, CPU)
        with torch.no_grad():
            losses.append(sum(method.train()(batch).values()))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)


def test_running_out_of_memory_is_an_exit_status(monkeypatch, capsys):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(gpu_step, "measure", full)
    assert run(gpu_step, *TINY_STEP) == gpu_step.OUT_OF_MEMORY


def test_the_check_passes_and_fails(tmp_path, monkeypatch, capsys):
    path = tmp_path / "check.json"
    assert run(gpu_check, *TINY_CHECK, "--json", path) == 0
    assert all(row["is_right"] for row in json.loads(path.read_text()))
    monkeypatch.setattr(gpu_check, "our_layer", lambda *args: 1.01 * gpu_check.published_layer(*args))
    assert run(gpu_check, *TINY_CHECK, "--json", path) == 1
    assert "WRONG edge_conv 3->8 train" in capsys.readouterr().out


def test_the_check_of_scenes_passes_and_fails(monkeypatch, capsys):
    flags = "--voxels 60 --points 64 --device cpu".split()
    with tiny_plan():
        assert run(gpu_scenes, *flags) == 0
        scales = iter([1.0, 1.0, 1.0, 1.001])  # of network and detector, on the CPU and on the device
        whole = gpu_scenes.gradients
        monkeypatch.setattr(gpu_scenes, "gradients", lambda network, out: whole(network, out * next(scales)))
        assert run(gpu_scenes, *flags) == 1
    said = capsys.readouterr().out
    assert "WRONG votenet torch.float64 output" in said
    assert "WRONG sr_unet" not in said


def test_every_form_of_the_search_is_timed(tmp_path):
    path = tmp_path / "kernels.json"
    flags = "--clouds 2 --points 64 --channels 3 --k 2 4 --rounds 1 --device cpu --json".split()
    run(gpu_kernels, *flags, path)
    rows = json.loads(path.read_text())
    assert [(row["k"], row["form"]) for row in rows] == [(k, name) for k in (2, 4) for name in list(knn.FORMS)[:-1]]
    assert all(abs(row["excess"]) < 1e-5 for row in rows)


def test_parts_that_fail_stop_no_other(tmp_path, monkeypatch, capsys):
    codes = iter([0, gpu_step.OUT_OF_MEMORY, 1])

    def finish(command, **_):
        code = next(codes)
        if code == 0:
            gpu.Path(command[-1].removeprefix("--json=")).write_text('{"loss": 1}')
        return subprocess.CompletedProcess(command, code, "", "what went wrong")

    some = [gpu.Part(name, "module", []) for name in ("first", "second", "third")]
    monkeypatch.setattr(gpu.subprocess, "run", finish)
    monkeypatch.setattr(gpu, "parts", lambda *_: iter(some))
    monkeypatch.setattr(gpu, "describe", lambda name, record: name)
    monkeypatch.setattr(gpu, "provenance", dict)
    path = tmp_path / "gpu.json"
    assert run(gpu, "--device", "cpu", "--json", path) == 1
    records = json.loads(path.read_text())["parts"]
    statuses = {name: record["status"] for name, record in records.items()}
    assert statuses == {"first": "done", "second": "out of memory", "third": "exit status 1"}
    assert records["first"]["found"] == {"loss": 1}
    assert "what went wrong" in records["third"]["output"]


def test_the_part_of_multi_view_pre_training_measures_three_sides(tmp_path):
    (part,) = (part for part in gpu.parts(gpu.parse_args([]), CPU) if part.name == "multiview step")
    run(multiview_step, *part.flags, "--device", "cpu", "--json", tmp_path / "part.json")
    found = json.loads((tmp_path / "part.json").read_text())
    assert {figure["side"] for figure in found["figures"]} == {"encoder", "ours", "published"}
    assert gpu.describe(part.name, {"status": "done", "found": found}).startswith("multiview step")


def test_a_part_without_time_is_not_started():
    assert gpu.run_part(gpu.Part("step", "no.such.module", []), CPU, 0.5) == {"status": "no time left"}


def test_every_part_asks_its_program_for_what_it_understands():
    modules = (gpu_check, gpu_kernels, gpu_scenes, gpu_step, multiview_step, point_towers)
    programs = {module.__name__: module for module in modules} | {"benchmarks.sparse_conv": comparison}
    for device in (CPU, torch.device("cuda")):
        names = [part.name for part in gpu.parts(gpu.parse_args([]), device)]
        assert len(names) == len(set(names)) == 6 + 2 * len(gpu_step.FORMS)
        for part in gpu.parts(gpu.parse_args([]), device):
            programs[part.module].parse_args([*part.flags, "--device=cpu", "--json=a.json"])


def test_the_shell_script_passes_its_arguments_on(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@" >>"$0.calls"\n')
    python.chmod(0o755)
    variables = os.environ | {"PYTHON": str(python), "OUT": str(tmp_path)}
    subprocess.run(["bash", str(REPO / "benchmarks/gpu.sh"), "--batches", "2"], env=variables, check=True)
    calls = (tmp_path / "python.calls").read_text().splitlines()
    assert gpu.parse_args(calls[0].split()[2:]).batches == [2]
    assert calls[2] == "-m pytest tests/models/test_kernels.py"
