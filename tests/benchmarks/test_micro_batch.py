"""Gradient caching: what is kept for the backward pass grows with the micro-batch, not with the batch."""

import json
import sys
from contextlib import nullcontext

import pytest
import torch

from benchmarks import micro_batch
from models.encoders.dgcnn import DGCNN
from models.encoders.image_resnet import ImageResNet
from models.methods.crosspoint import CrossPoint
from tests.support.light_runs import light
from tests.support.program_calls import recorded, run


class Kept:
    """A tensor saved for the backward pass; its bytes are counted while it lives, except those of weights."""

    now = most = 0
    weights: frozenset[int] = frozenset()

    def __init__(self, tensor):
        self.tensor, self.size = tensor, 0
        if tensor.layout is torch.strided and tensor.data_ptr() not in Kept.weights:
            self.size = tensor.nbytes
        Kept.now += self.size
        Kept.most = max(Kept.most, Kept.now)

    def __del__(self):
        Kept.now -= self.size


@pytest.fixture(scope="module")
def most_kept():
    """Return most_kept(batch, micro_batch): the peak of bytes saved for backward passes during one step."""
    torch.manual_seed(0)
    method = CrossPoint(DGCNN(4, emb_dims=32), ImageResNet(18))
    Kept.weights = frozenset(parameter.data_ptr() for parameter in method.parameters())

    def measure(size, micro):
        batch = {"aug_a": torch.randn(size, 24, 3), "aug_b": torch.randn(size, 24, 3)}
        batch["image"] = torch.randn(size, 3, 64, 64)
        Kept.now = Kept.most = 0
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            micro_batch.step(method, batch, micro)
        return Kept.most

    return measure


def test_what_is_kept_does_not_grow_with_the_batch_in_micro_batches(most_kept):
    assert most_kept(12, 4) == pytest.approx(most_kept(8, 4), rel=0.01)


@pytest.mark.parametrize("sizes", [[(8, 2), (8, 4), (8, 8)], [(2, 0), (4, 0), (8, 0)]])
def test_what_is_kept_grows_with_the_micro_batch_or_in_one_piece_with_the_batch(most_kept, sizes):
    two, four, eight = (most_kept(*size) for size in sizes)
    assert four - two > 0.5 * two  # the rest are a few copies of weights
    assert eight - four == pytest.approx(2 * (four - two), rel=0.05)


def test_slopes_are_those_of_a_plane():
    usage = [(batch, micro, 5 + 0.25 * batch + 3 * micro) for batch in (8, 16, 32) for micro in (2, 4)]
    assert micro_batch.slopes(usage) == pytest.approx((0.25, 3))


def test_each_combination_is_measured_and_kept(tmp_path, monkeypatch, capsys):
    usage = {"8 0": 90.0, "8 4": 50.0, "8 8": 90.0, "16 0": None, "16 4": 52.0, "16 8": 92.0}

    def run_alone(module, flags):
        assert flags[-1] == "--alone"
        mib = usage[f"{flags[1]} {flags[3]}"]
        return mib and {"mib": mib, "seconds": 1.0}

    monkeypatch.setattr(micro_batch, "run_alone", run_alone)
    rows = recorded(tmp_path, micro_batch, "--batch_size", 8, 16, "--micro_batch", 0, 4, 8, "--device", "cpu")
    memory = [row["value"] for row in rows if row["figure"] == "memory"]
    assert memory == ["90", "50", "90", "out of memory", "52", "92"]
    assert "0.25 MiB for each shape of the batch, 10.00 MiB for each of the micro-batch" in capsys.readouterr().out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_process_prints_what_one_step_needs(monkeypatch, capsys):
    monkeypatch.setattr(micro_batch, "ends_when_full", nullcontext)  # its limit would outlive the test
    with light():
        run(micro_batch, "--batch_size", 4, "--micro_batch", 2, "--points", 16, "--device", "cpu", "--alone")
    usage = json.loads(capsys.readouterr().out)
    assert usage.keys() == {"mib", "seconds"}
    assert usage["seconds"] > 0


@pytest.mark.parametrize("flags", [["--batch_size", "1"], ["--micro_batch", "1"], ["--points", "14"]])
def test_a_flag_out_of_range_is_refused_by_name(flags):
    with pytest.raises(ValueError, match=flags[0]):
        run(micro_batch, *flags)
