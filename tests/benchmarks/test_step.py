"""The step benchmark: its baseline is the published formulation, and its figures are what they are called."""

import json
import sys
from contextlib import nullcontext

import pytest
import torch
from torch.testing import assert_close

from benchmarks import step
from benchmarks.harness.inputs import make_clouds, parse_size
from benchmarks.published.published_dgcnn import PublishedDGCNN
from models.encoders.dgcnn import DGCNN
from tests.models.layers import published_formulation
from tests.support.program_calls import recorded, run

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")


@pytest.mark.parametrize("training", [True, False])
def test_the_other_side_is_the_published_network(training):
    torch.manual_seed(0)
    ours = DGCNN(5).double().train(training)
    other = PublishedDGCNN(5).double().train(training)
    other.load_state_dict(ours.state_dict())
    points = torch.randn(3, 31, 3, dtype=torch.float64)
    assert_close(other(points), published_formulation.dgcnn(points, ours), rtol=1e-9, atol=1e-9)


@pytest.fixture
def same_process(monkeypatch, capsys):
    """Measure sides in this process; it may reuse memory freed before, so that 5 MiB are recorded instead."""

    def run_alone(module, flags):
        run(step, *flags)
        usage = json.loads(capsys.readouterr().out)
        assert usage.keys() == {"mib", "seconds"}
        assert usage["seconds"] > 0
        return usage | {"mib": 5.0}

    monkeypatch.setattr(step, "run_alone", run_alone)
    monkeypatch.setattr(step, "ends_when_full", lambda device: nullcontext())  # its limit would outlive the test


@LINUX
def test_figures_of_both_sides_are_printed_and_kept(same_process, tmp_path, capsys):
    rows = recorded(tmp_path, step, "--device", "cpu", "--sizes", "4x64", "--k", 4, "--rounds", 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["training step:", "inference:", "training memory:"]
    assert {row["setting"] for row in rows} == {"B=4 N=64 k=4 clouds=distinct"}
    assert [(row["figure"], row["side"]) for row in rows] == [
        (figure, side) for figure in ("training step", "inference", "training memory") for side in step.SIDES
    ]


def parse(*flags):
    return step.parse_args(["--device", "cpu", *map(str, flags)])


def test_growth_varies_one_quantity_at_a_time_and_measures_no_setting_twice():
    wanted = step.settings(parse("--growth", 512, 1024))
    assert len(set(wanted)) == len(wanted) == 2 + 2 + 2
    base = (step.BASE_CLOUDS, step.BASE_POINTS, step.BASE_K)
    assert all(sum(ours != at_base for ours, at_base in zip(setting, base)) <= 1 for setting in wanted)
    assert {setting.points for setting in wanted} == {512, 1024}


@LINUX
def test_a_side_that_needs_more_memory_than_there_is_ends_alone():
    assert step.memory_of("published", step.Setting(1, 3_000_000, 4, False), "cpu") is None  # 36 TB of distances


def test_a_side_out_of_memory_is_recorded_as_such_and_the_other_is_measured(monkeypatch):
    monkeypatch.setattr(step, "memory_of", lambda side, *rest: None if side == "published" else 5.0)
    figures = step.compare(step.Setting(2, 32, 4, False), parse("--rounds", 1), torch.device("cpu"))
    known = {(figure.name, figure.side): figure.value is not None for figure in figures}
    assert known == {
        **{("training step", "published"): False, ("training memory", "published"): False},
        **{("training step", "ours"): True, ("inference", "ours"): True, ("training memory", "ours"): True},
    }


def test_sides_that_differ_are_not_compared():
    encoders = {side: step.build(side, 4, torch.device("cpu")) for side in step.SIDES}
    with torch.no_grad():
        encoders["ours"].conv3[0].weight.mul_(2)
    with pytest.raises(ValueError, match="nothing to compare"):
        step.check_equal(encoders, make_clouds(2, 32, dropout=False))


def test_clouds_of_pre_training_hold_copies_of_point_0():
    plain, dropped = (make_clouds(4, 64, dropout=dropout) for dropout in (False, True))
    copies = [(clouds == clouds[:, :1]).all(dim=2).sum().item() for clouds in (plain, dropped)]
    assert copies[0] == 4 < copies[1]


@pytest.mark.parametrize("text", ["8", "8x", "0x8", "8x1024x2", "axb"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="expected CLOUDSxPOINTS"):
        parse_size(text)
