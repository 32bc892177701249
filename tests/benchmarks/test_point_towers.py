import pytest
import torch

from benchmarks import point_towers
from tests.support.program_calls import recorded, run


def test_grouping_and_the_step_of_a_tower_are_measured_on_both_sides(tmp_path, capsys):
    rows = recorded(tmp_path, point_towers, "--quick", "--towers", "pointnext", "--device", "cpu")
    settings = ["part=grouping B=2 N=1024"] * 2 + ["part=pointnext B=2 N=600"] * 2
    assert [(row["setting"], row["side"]) for row in rows] == list(
        zip(settings, ["published", "ours"] * 2, strict=True)
    )
    assert capsys.readouterr().out.count("x\n") == 2  # ratios


def test_a_search_or_a_network_that_differs_is_not_timed(monkeypatch):
    points = torch.rand(1, 600, 3)
    groups = point_towers.our_groups(points)
    point_towers.check_groups(groups, point_towers.published_groups(points))
    with pytest.raises(ValueError, match=r"only \d\d\.\d% of the members"):
        point_towers.check_groups(groups, groups.roll(1, dims=-1))
    monkeypatch.setattr("models.encoders.pointnext.RADII", (0.15, 0.225, 0.3375, 0.9))
    with pytest.raises(ValueError, match="features of pointnext deviate by"):
        point_towers.tower_pair("pointnext", points)


@pytest.mark.parametrize("flags", [("--grouping", "2x100"), ("--step", "2x100"), ("--rounds", 0)])
def test_a_flag_out_of_range_is_refused_by_name(flags):
    with pytest.raises(ValueError, match=flags[0]):
        run(point_towers, *flags)
