import pytest
import torch

from benchmarks.sparse_conv import comparison
from tests.support.program_calls import recorded, run

FIGURES = (
    *("kernel map", "forward", "products of the forward pass alone", "forward and backward"),
    *("kept for backward, each voxel", "kernel map, each voxel"),
)


def test_times_and_memory_are_measured_on_both_sides(tmp_path, capsys):
    rows = recorded(tmp_path, comparison, "--quick", "--rounds", 1, "--device", "cpu")
    found = [(row["figure"], row["side"]) for row in rows]
    assert found == [(figure, side) for figure in FIGURES for side in comparison.SIDES]
    value = {(row["figure"], row["side"]): float(row["value"]) for row in rows}
    assert value["kept for backward, each voxel", "ours"] == 0
    pairs = float(rows[0]["setting"].split("pairs=")[1])
    gathered = 4 * 16 * pairs  # bytes of a voxel: float32, 16 channels; the rows gathered and their products are kept
    assert value["kept for backward, each voxel", "gather-scatter"] == pytest.approx(2 * gathered, rel=0.02)
    assert capsys.readouterr().out.count("x\n") == 5  # ratios


def test_sides_are_compared_in_bf16_too(tmp_path):
    rows = recorded(tmp_path, comparison, "--quick", "--rounds", 1, "--device", "cpu", "--dtype", "bf16")
    assert {"dtype=bf16" in row["setting"] for row in rows} == {True}
    kept = {row["side"]: float(row["value"]) for row in rows if row["figure"] == "kept for backward, each voxel"}
    pairs = float(rows[0]["setting"].split("pairs=")[1])
    assert kept == {"ours": 0, "gather-scatter": pytest.approx(2 * 2 * 16 * pairs, rel=0.02)}


def test_sides_that_differ_are_not_timed():
    expected = [torch.randn(4, 2)] * 3
    comparison.check_equal(expected, expected)
    with pytest.raises(ValueError, match="gradient of the input of the sides deviates by"):
        comparison.check_equal([expected[0], 1.001 * expected[1], expected[2]], expected)


@pytest.mark.parametrize("flag, value", [("--voxels", 99), ("--channels", 0), ("--rounds", 0)])
def test_a_flag_out_of_range_is_refused_by_name(flag, value):
    with pytest.raises(ValueError, match=flag):
        run(comparison, flag, value)
