"""The measure of diversity: its figures on sets whose spread is known, and the program."""

import numpy as np
import pytest

from benchmarks.diversity import __main__ as diversity
from benchmarks.diversity.cloud_sets import turned_at_random
from benchmarks.diversity.spread import (
    covered_share,
    effective_rank,
    nearest_distances,
    participation_ratio,
    total_deviation,
)
from tests.support.program_calls import message_of, run
from tests.support.tiny_trees import write_shapenet

SMALL = ("--random_init", "--model", "pointnet", "--shapes", 3, "--points", 32, "--device", "cpu")


def rows(number, width, seed=0):
    return np.random.default_rng(seed).normal(size=(number, width))


def test_nearest_distances_are_those_of_a_loop():
    some, others = rows(7, 5), rows(4, 5, seed=1)
    within = [min(np.linalg.norm(a - b) for j, b in enumerate(some) if i != j) for i, a in enumerate(some)]
    np.testing.assert_allclose(nearest_distances(some), within)
    np.testing.assert_allclose(
        nearest_distances(some, others), [min(np.linalg.norm(a - b) for b in others) for a in some]
    )


@pytest.mark.parametrize("measure", [effective_rank, participation_ratio])
def test_rank_counts_the_axes_that_vary(measure):
    line = rows(500, 1) @ rows(1, 9)
    assert measure(line) == pytest.approx(1)
    assert measure(np.pad(np.eye(5) * 3, ((0, 5), (0, 0)))) < 5.001
    corners = np.concatenate([np.eye(6), -np.eye(6)])
    assert measure(corners) == pytest.approx(6)


def test_deviation_is_the_root_mean_square_distance_from_the_mean():
    assert total_deviation(np.array([[0.0, 3.0], [4.0, 3.0]])) == pytest.approx(2)


def test_half_of_a_set_is_covered_by_another_of_its_kind_and_none_by_a_far_one():
    reference = rows(400, 3)
    assert covered_share(reference, rows(400, 3, seed=1)) == pytest.approx(0.5, abs=0.08)
    assert covered_share(reference, rows(400, 3) + 50) == 0
    assert covered_share(reference, reference + 1e-9) == 1


def test_clouds_are_turned_not_mirrored():
    clouds = np.repeat(np.eye(3, dtype=np.float32)[None], 60, axis=0)
    found = turned_at_random(clouds, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.det(found), 1)
    assert len(np.unique(found.reshape(60, 9), axis=0)) > 12


def test_a_line_for_every_set_and_one_for_others_of_the_reference(tmp_path, capsys):
    write_shapenet(tmp_path / "a", [f"02/{name}" for name in "abcdef"])
    write_shapenet(tmp_path / "b", ["02/x", "02/y", "02/z"])
    run(diversity, "--sets", f"real={tmp_path / 'a'}", f"made={tmp_path / 'b'}", *SMALL, "--turn")
    lines = capsys.readouterr().out.splitlines()
    assert "untrained weights, seed 0; 3 shapes" in lines[0]
    assert [line.split(" | ")[0] for line in lines[1:]] == ["| set", "| ---", "| real", "| real, others", "| made"]
    assert lines[3].split(" | ")[1:3] == ["1.00", "1.00"]


def test_what_cannot_be_compared_is_refused_by_name(tmp_path, capsys):
    tree = write_shapenet(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    cases = {
        (f"{tree}",): "expected NAME=PATH",
        (f"a={tree}",): "holds 3 shapes, 6 are needed",
        (f"a={tree}", f"a={tree}"): "two sets alike",
        (f"a={tmp_path / 'empty'}",): "neither ShapeNet/ nor ply_data_train",
    }
    for sets, message in cases.items():
        assert message in message_of(capsys, diversity, "--sets", *sets, *SMALL)
