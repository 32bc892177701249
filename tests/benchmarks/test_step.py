"""The step benchmark: its other side is the published formulation, and its figures are what they are called."""

import json
import sys

import pytest
import torch
from torch.testing import assert_close

from benchmarks import step
from benchmarks.published_dgcnn import PublishedDGCNN
from models.dgcnn import DGCNN
from tests.models import published_formulation


@pytest.mark.parametrize("training", [True, False])
def test_the_other_side_is_the_published_network(training):
    torch.manual_seed(0)
    ours = DGCNN(5).double().train(training)
    other = PublishedDGCNN(5).double().train(training)
    other.load_state_dict(ours.state_dict())
    points = torch.randn(3, 31, 3, dtype=torch.float64)
    assert_close(other(points), published_formulation.dgcnn(points, ours), rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_figures_of_both_sides_are_printed_and_written(tmp_path, capsys):
    path = tmp_path / "step.json"
    step.main(
        step.parse_args(["--sizes", "8x256", "--k", "4", "--rounds", "1", "--device", "cpu", "--json", str(path)])
    )
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [["8x256", "train"], ["8x256", "inference"], ["8x256", "memory"]]
    (record,) = json.loads(path.read_text())["records"]
    assert record["train_ratio"] == record["train_ms_published"] / record["train_ms_ours"]
    assert record["difference"] < 1e-3


def test_sides_that_differ_are_not_compared():
    encoders = {side: step.build(side, 4, torch.device("cpu")) for side in step.SIDES}
    with torch.no_grad():
        encoders["ours"].conv3[0].weight.mul_(2)
    with pytest.raises(ValueError, match="nothing to compare"):
        step.check_equal(encoders, step.make_clouds(2, 32, dropout=False))


def test_clouds_of_pre_training_hold_copies_of_point_0():
    plain, dropped = (step.make_clouds(4, 64, dropout=dropout) for dropout in (False, True))
    copies = [(clouds == clouds[:, :1]).all(dim=2).sum().item() for clouds in (plain, dropped)]
    assert copies[0] == 4 < copies[1]


@pytest.mark.parametrize("text", ["8", "8x", "0x8", "8x1024x2", "axb"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="expected CLOUDSxPOINTS"):
        step.parse_size(text)
