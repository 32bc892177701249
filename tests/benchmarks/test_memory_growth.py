"""Memory against steps: both sides take all their steps in turns, one with numbers of rows rounded to a few."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from benchmarks.harness.records import read_csv
from benchmarks.machine import memory_growth


def test_both_sides_take_turns_and_are_kept(tmp_path, capfd):
    flags = ["--size", "2x16", "--k", "4", "--steps", "3", "--turn", "2", "--record", str(tmp_path / "r.csv")]
    memory_growth.main(memory_growth.parse_args(flags))
    rows = read_csv(tmp_path / "r.csv")
    value = {(row["figure"], row["side"]): float(row["value"]) for row in rows}
    for side in memory_growth.SIDES:
        first, last = value["peak after 2 steps", side], value["peak after all steps", side]
        assert 0 < first <= last
        assert value["growth of the peak", side] == pytest.approx(last / first, rel=1e-5)
        assert value["step", side] > 0
    printed = capfd.readouterr().out
    assert "peak after 2 steps: ragged" in printed
    assert "peak after 3 steps: ragged" in printed


def test_onednn_computes_torchs_products_with_their_gradients():
    x, weight = torch.randn(7, 5, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    bias, direction = torch.randn(3), torch.randn(7, 3)
    ours, theirs = memory_growth.linear(x, weight, bias), F.linear(x, weight, bias)
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(out, (x, weight), direction) for out in (ours, theirs)]
    assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_steps_of_one_turn_are_refused():
    with pytest.raises(ValueError, match="--steps must be at least 51"):
        memory_growth.main(memory_growth.parse_args(["--steps", "50"]))
