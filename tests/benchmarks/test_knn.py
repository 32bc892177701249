import pytest
import torch

from benchmarks import knn
from tests.support.program_calls import recorded, run

CPU = torch.device("cpu")


@pytest.mark.parametrize("channels, tree", [(3, ["KD-tree"]), (5, [])])
def test_every_form_finds_the_nearest(channels, tree):
    x = knn.make_batch(2, 61, channels)
    assert x.shape == (2, 61, channels)
    searches = knn.forms(channels, CPU)
    assert list(searches) == ["ours", "matmul", "cdist", *tree]
    for name, search in searches.items():
        knn.check_nearest(x, 7, search(x, 7), name)


def test_a_form_that_misses_a_neighbour_is_not_timed():
    x = knn.make_batch(2, 61, 3)
    index = knn.by_cdist(x, 8)
    index[1, 5, 2] = index[1, 5, 7]
    with pytest.raises(ValueError, match="cdist does not return the 7 nearest"):
        knn.check_nearest(x, 7, index[..., :7], "cdist")


def test_every_combination_is_measured_and_kept(tmp_path, capsys):
    flags = ("--points", 16, 32, "--channels", 3, "--k", 2, 5, "--clouds", 2, "--rounds", 1, "--device", "cpu")
    rows = recorded(tmp_path, knn, *flags)
    assert len(rows) == 4 * 4
    assert {row["setting"] for row in rows} == {f"B=2 N={n} C=3 k={k}" for n in (16, 32) for k in (2, 5)}
    assert capsys.readouterr().out.count("fastest: ") == 4


@pytest.mark.parametrize("flags", [["--k", "0"], ["--k", "600"], ["--rounds", "0"]])
def test_a_flag_out_of_range_is_refused_by_name(flags):
    with pytest.raises(ValueError, match=flags[0]):
        run(knn, *flags)
