"""The shard benchmarks: their figures are what they are called, and the simulation holds at odd sizes."""

import json

import numpy as np
import pytest
import torch

from benchmarks import shard_sampler, shards
from tests.support.program_calls import run
from tests.support.tiny_shards import make_shards, make_tree
from tests.support.tiny_trees import pack


def arguments(packed, folder, *flags):
    small = ("--image_size", "12", "--batch_size", "4", "--rounds", "1")
    return shards.parse_args(["--packed", str(packed), "--shards", str(folder), *small, *flags])


def test_both_sides_are_timed_in_both_forms(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    tree = make_tree(tmp_path / "tree", 9)
    packed, folder = pack(tree, tmp_path / "a.h5"), make_shards(tree, tmp_path / "s")
    shards.main(arguments(packed, folder, "--json", str(tmp_path / "out.json")))
    figures = json.loads((tmp_path / "out.json").read_text())["figures"]
    assert [(figure["setting"].split()[-1], figure["name"], figure["side"]) for figure in figures] == [
        *(
            (f"augment={form}", f"load an item, {clock}", side)
            for form in ("loader", "device")
            for clock in ("CPU", "wall")
            for side in ("packed", "shards")
        ),
        ("samples=5", "read a sample, CPU", "tarfile"),
        ("samples=5", "read a sample, CPU", "ours"),
    ]
    assert all(figure["value"] > 0 for figure in figures)


@pytest.mark.parametrize("num_shapes, seed", [(8, 0), (9, 9)])
def test_shards_of_other_data_are_not_compared(tmp_path, num_shapes, seed):
    packed = pack(make_tree(tmp_path / "a", 9), tmp_path / "a.h5")
    tree = make_tree(tmp_path / "b", num_shapes)
    if seed:
        (tree / "ShapeNet" / "00").rename(tree / "ShapeNet" / "09")
        (tree / "ShapeNetRendering" / "00").rename(tree / "ShapeNetRendering" / "09")
    with pytest.raises(ValueError, match="are of other data than"):
        shards.open_both(arguments(packed, make_shards(tree, tmp_path / "s")), augment=True)


SMALL = (
    *("--shapes", 100_003, "--samples_per_shard", 97, "--ranks", 7, "--workers", 3, "--streams", 42),
    *("--batch_size", 84, "--shuffle_buffer", 31),
)


def test_the_simulation_finds_every_sample_once(tmp_path, capsys):
    assert run(shard_sampler, *SMALL, "--json", tmp_path / "out.json") == 0
    figures = {f["name"]: f["value"] for f in json.loads((tmp_path / "out.json").read_text())["figures"]}
    assert figures["not read exactly once"] == 0
    assert figures["rank imbalance"] == 1
    assert figures["dropped with the last batch"] == 100_003 % 84
    assert figures["at the same place in two epochs"] < 0.1
    assert figures["peak memory of the process"] > 0


@pytest.mark.parametrize(
    "name, change",
    [
        ("stream_bounds", lambda bounds: np.append(bounds[:-1], bounds[-1] - 1)),
        ("emission_order", lambda order: np.append(order[:-1], order[:1])),
        ("shard_order", np.sort),
    ],
)
def test_the_simulation_finds_what_is_wrong(monkeypatch, name, change):
    right = getattr(shard_sampler, name)
    monkeypatch.setattr(shard_sampler, name, lambda *args: change(right(*args)))
    assert run(shard_sampler, *SMALL, "--shuffle_buffer", 1) == 1


def test_shards_are_uneven_and_hold_all():
    counts = shard_sampler.shard_counts(100_003, 97)
    assert counts.sum() == 100_003
    assert counts.min() > 0
    assert len(set(counts.tolist())) > 10
    assert shard_sampler.shard_counts(5, 97).tolist() == [5]


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--streams", 6), "--streams 6 must divide --batch_size 84 and be divisible by 7 ranks"),
        (("--workers", 4), "--workers 4 cannot share the 6 streams of a rank"),
        (("--shapes", 80), "--batch_size 84 is more than --shapes 80"),
    ],
)
def test_processes_that_cannot_share_are_named(flags, message):
    with pytest.raises(ValueError, match=message):
        run(shard_sampler, *SMALL, *flags)
