"""The screen: settings of pre-training beside random weights, on the train split, never run twice."""

import json
import time
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch

import train_crosspoint
from benchmarks import screen
from benchmarks.screening import screen_runs
from benchmarks.screening.screen_config import Screen, read_screen
from benchmarks.screening.screen_runs import Spent, num_epochs, run_program
from benchmarks.screening.screen_scores import Scorer
from benchmarks.screening.screen_table import screen_table
from models.encoders.registry import build_encoder
from models.weights.published import export_state
from tests.support.entry_programs import call
from tests.support.light_runs import flags_of, light
from tests.support.pretraining_runs import command, write_pairs
from tests.support.program_calls import message_of, run
from tests.support.tiny_trees import labelled, write_h5
from utils.evaluation.frozen_encoder import FeatureSettings
from utils.evaluation.labelled_set import LabelledSetSettings
from utils.evaluation.svm import linear_svm
from utils.files import write_text
from utils.processes.stop import Stopped, StopRequest

EPOCH_HOURS, MINUTES = 0.01, 1.2  # so that two epochs fit
FLAGS = "--model pointnet --emb_dims 32 --k 5"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Pairs, labelled train clouds, and a test split that nobody can read."""
    folder = write_pairs(tmp_path_factory.mktemp("tree"))
    write_h5(folder / "ply_data_train0.h5", **labelled([0, 1, 2] * 5, num_points=64))
    (folder / "ply_data_test0.h5").write_bytes(b"no HDF5 file")
    return folder


class Programs:
    """Stands in for the training programs: notes their flags, and writes what a run of 1 or more epochs leaves."""

    def __init__(self):
        self.calls = []

    def __call__(self, program, words):
        self.calls.append(words)
        flags = dict(pairwise(words))
        out = Path(flags["--output_dir"]) / flags["--exp_name"]
        lines = [json.dumps({"epoch": n, "hours": EPOCH_HOURS * (n + 1)}) for n in range(int(flags["--epochs"]))]
        write_text(out / "config.json", "{}")
        write_text(out / "metrics.jsonl", "\n".join(lines))
        self.write_weights(out / "models", int(flags["--seed"]), "--ema_decay" in flags)
        return Spent(wall=100.0, cpu=50.0)

    def write_weights(self, folder, seed, has_ema):
        folder.mkdir(exist_ok=True)
        for name in ("ckpt_epoch_last.pth", *(["ema_last.pth"] if has_ema else [])):
            torch.manual_seed(1000 + seed + len(name))
            torch.save(export_state(build_encoder("pointnet", emb_dims=32), "pointnet", k=5), folder / name)


def write_config(root, folder, settings, **changes):
    evaluation = f"--data_root {root} --num_points 64"
    usual = {"minutes": MINUTES, "seeds": [1, 2], "flags": FLAGS, "evaluation": evaluation}
    path = folder / "config.json"
    path.write_text(json.dumps(usual | changes | {"settings": settings}))
    return path


SETTINGS = {"plain": {}, "averaged": {"flags": "--ema_decay 0.9", "seeds": [1]}}


def run_screen(config, out, programs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen_runs, "run_program", programs)
        patch.setattr(linear_svm, "C_GRID", (0.1,))  # for the time
        run(screen, config, "--out", out, "--device", "cpu")
    return (out / "screen.md").read_text()


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """A whole screen: its folder, config, the calls of programs, the table."""
    folder, programs = tmp_path_factory.mktemp("screen"), Programs()
    config = write_config(root, folder, SETTINGS)
    table = run_screen(config, folder / "out", programs)
    return folder / "out", config, programs.calls, table


def test_every_setting_and_seed_trains_as_long_as_its_minutes_allow(done):
    calls = [dict(pairwise(words)) for words in done[2]]
    found = [(Path(c["--output_dir"]).name, c["--exp_name"], c["--epochs"], c["--seed"]) for c in calls]
    assert found == [
        ("probes", "plain", "1", "1"),
        ("probes", "averaged", "1", "1"),
        ("runs", "plain_seed1", "2", "1"),
        ("runs", "averaged_seed1", "2", "1"),
        ("runs", "plain_seed2", "2", "2"),
    ]
    assert {c["--eval_freq"] for c in calls} == {"0"}


def test_the_table_holds_means_spreads_and_the_time_used_beside_random_weights(done):
    out, *_, table = done
    rows = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in table.splitlines()[2:]}
    assert list(rows)[2:] == ["random weights, pointnet", "plain", "averaged", "averaged, EMA"]
    reports = [json.loads((out / "scores" / f"plain_seed{seed}.json").read_text())["results"] for seed in (1, 2)]
    for place, protocol in ((2, "fair_cv"), (4, "knn_loo")):
        values = [100 * r["accuracy"] for report in reports for r in report if r["protocol"] == protocol]
        assert rows["plain"][place] == f"{mean(values):.1f} ± {stdev(values):.1f}"
    assert rows["plain"][6:] == ["2", "2", "1.2", "0.8"]
    assert rows["random weights, pointnet"][6:] == ["2", "-", "-", "-"]
    assert [record["split"] for report in reports for record in report] == ["train"] * 4
    assert reports[0][0]["train_minutes"] == pytest.approx(1.2)


def test_clouds_that_were_not_scored_are_counted_below_the_table(done):
    out, *_, table = done
    reports = [json.loads(file.read_text())["results"] for file in sorted((out / "scores").iterdir())]
    records = [record for report in reports for record in report]
    assert "scored" not in table
    for record in records:
        if record["protocol"] == "fair_cv":
            record["num_scored"] -= 2
    below = screen_table(records).split("|\n")[-1]
    assert below == "\nFair SVM: 13 of 15 scored: the only one of a class cannot be held out.\n"


def test_what_is_finished_is_not_run_again_and_a_new_seed_is(root, done, tmp_path):
    out, config, _, table = done
    assert run_screen(config, out, None) == table  # no program is called
    programs = Programs()
    more = write_config(root, tmp_path, {"plain": {"seeds": [1, 2, 3]}})
    run_screen(more, out, programs)
    assert [dict(pairwise(words))["--exp_name"] for words in programs.calls] == ["plain_seed3"]


def test_kept_results_of_other_settings_are_refused(root, done, tmp_path, capsys):
    other = write_config(root, tmp_path, {"plain": {"flags": "--temperature 0.2"}})
    message = message_of(capsys, screen, other, "--out", done[0])
    assert "plain.json was made with flags" in message


def test_a_stopped_training_goes_on_and_its_time_of_processors_is_unknown(root, tmp_path):
    class Stopping(Programs):
        def __call__(self, program, words):
            spent = super().__call__(program, words)
            if "2" in words:
                raise Stopped
            return spent

    config = write_config(root, tmp_path, {"plain": {"seeds": [1]}})
    with pytest.raises(Stopped):
        run_screen(config, tmp_path / "out", Stopping())
    programs = Programs()
    table = run_screen(config, tmp_path / "out", programs)
    (words,) = programs.calls
    assert "--resume" in words
    assert table.rstrip().endswith("| 1 | 2 | 1.2 | - |")


def test_on_the_clock_of_processors_an_epoch_costs_its_share(root, tmp_path, monkeypatch):
    monkeypatch.setattr(screen_runs, "run_program", Programs())
    wall = read_screen(write_config(root, tmp_path, SETTINGS))
    both = (wall, wall._replace(clock="cpu"))
    epochs = [num_epochs(one, one.settings[0], tmp_path / one.clock, print) for one in both]
    assert epochs == [2, 4]  # a program that has half the processor's time


def test_a_budget_below_one_epoch_is_refused(root, tmp_path, monkeypatch):
    monkeypatch.setattr(screen_runs, "run_program", Programs())
    short = read_screen(write_config(root, tmp_path, SETTINGS, minutes=0.2))
    with pytest.raises(ValueError, match=r"plain takes more than 0\.2 minutes"):
        num_epochs(short, short.settings[0], tmp_path, print)


def test_a_real_program_trains_and_is_scored_without_reading_the_test_split(root, tmp_path):
    words = command(root, tmp_path)
    own = ("--epochs", "--exp_name", "--eval_freq", "--output_dir")
    flags = " ".join(f"{name} {value}" for name, value in zip(words[::2], words[1::2]) if name not in own)
    config = write_config(root, tmp_path, {"real": {"seeds": [3]}}, flags=f"{flags} --emb_dims 32 --eval_num_points 64")

    def train(program, words):
        assert program == "train_crosspoint"
        call(train_crosspoint, *words)
        return Spent(1.0, 1.0)

    with light(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen_runs, "read_metrics", lambda run: [{"hours": EPOCH_HOURS}])
        run_screen(config, tmp_path / "out", train)
    assert flags_of(tmp_path / "out/runs/real_seed3")["epochs"] == 2
    assert not (tmp_path / "out/probes/real").exists()
    assert not list(tmp_path.rglob("results.json"))


def test_a_program_that_fails_or_is_stopped_is_told_apart_and_a_signal_reaches_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, body in (("fails", "raise SystemExit(2)"), ("stops", "raise SystemExit(75)"), ("fine", "")):
        (tmp_path / f"{name}.py").write_text(body)
    told = "import os, signal, time\nos.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(60)"
    (tmp_path / "waits.py").write_text(told)
    with pytest.raises(ValueError, match=r"exit status 2 of: python -m fails --a 1"):
        run_program("fails", ["--a", "1"])
    with pytest.raises(Stopped):
        run_program("stops", [])
    spent = run_program("fine", [])
    assert min(spent) > 0
    start = time.monotonic()
    with StopRequest(), pytest.raises(Stopped):
        run_program("waits", [])
    assert time.monotonic() - start < 50


@pytest.mark.parametrize(
    ("changes", "settings", "expected"),
    [
        ({}, {}, "lacks any setting"),
        ({"minute": 3}, {"a": {}}, "found the unknown 'minute'"),
        ({"minutes": "3"}, {"a": {}}, "minutes is of another kind"),
        ({"clock": "sun"}, {"a": {}}, "clock one of wall, cpu"),
        ({"seeds": [1, 1]}, {"a": {}}, "seeds must be different"),
        ({}, {"a/b": {}}, "names a folder"),
        ({}, {"a": {"program": "scripts.eval_svm"}}, "expected train_crosspoint or scripts.pretrain_NAME"),
        ({}, {"a": {"flags": "--epochs=3"}}, "the screen sets --epochs=3 itself"),
        ({"evaluation": "--copies 0"}, {"a": {}}, "--copies must be at least 1"),
    ],
)
def test_a_fault_in_the_file_is_named_before_anything_runs(root, tmp_path, capsys, changes, settings, expected):
    config = write_config(root, tmp_path, settings, **changes)
    assert expected in message_of(capsys, screen, config)


def test_of_two_settings_of_one_name_none_is_dropped_in_silence(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"settings": {"a": {}, "a": {"flags": "--k 3"}}}')
    assert "'a' stands twice" in message_of(capsys, screen, tmp_path / "config.json")


def test_flags_that_a_program_does_not_know_are_refused_by_it(root, tmp_path, capsys):
    config = write_config(root, tmp_path, {"a": {"flags": "--no_such_flag 1"}})
    with pytest.raises(SystemExit):
        run(screen, config)
    assert "--no_such_flag" in capsys.readouterr().err


def test_a_choice_of_layers_is_noted_and_the_usual_one_is_not_so_that_screens_from_before_go_on():
    screens = [Screen(1, "wall", [], LabelledSetSettings(), FeatureSettings(layers=name)) for name in ("last", "all")]
    noted = [Scorer(screen, None, None, None, None).evaluation.get("layers") for screen in screens]
    assert noted == [None, "all"]
