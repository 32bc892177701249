"""Run trainings without their costly parts, and read the files a run leaves."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import nn

from utils.training.loop import Training


class SmallImageNet(nn.Sequential):
    """Stands in for a torchvision ResNet, with four thousand times fewer weights."""

    def __init__(self, name: str = "resnet18", weights: str | None = None):
        layers = {"conv": nn.Conv2d(3, 8, 3, stride=2), "bn": nn.BatchNorm2d(8), "relu": nn.ReLU()}
        pooled = {"pool": nn.AdaptiveAvgPool2d(2), "flatten": nn.Flatten(), "fc": nn.Linear(32, 10)}
        super().__init__(OrderedDict(layers | pooled))
        self.name = name


@contextmanager
def light() -> Iterator[None]:
    """Build small image networks and draw no curves in this block."""
    with (
        patch("torchvision.models.get_model", SmallImageNet),
        patch("utils.training.loop.try_draw_curves", lambda *args: None),
    ):
        yield


class _Begun(Exception):
    pass


def built_by(program: Callable[[], object]) -> Training:
    """Run a training program up to its first step and return the training it has built."""
    with patch.object(Training, "fit", autospec=True, side_effect=_Begun) as fit, pytest.raises(_Begun):
        program()
    return fit.call_args.args[0]


def start_of(training: Training) -> tuple[float, list[list[int]]]:
    """Return what the seed decides: a first weight, and the order of the first epoch's samples."""
    weight = next(training.method.parameters()).flatten()[0].item()
    return weight, [batch["index"].tolist() for batch in training.loader.epoch(0)]


def metrics(run_dir: Path, key: str = "loss/total") -> list:
    """Read one entry of metrics.jsonl by epoch, without the epochs that lack it."""
    records = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [record[key] for record in records if key in record]


def log_of(run_dir: Path) -> str:
    return (run_dir / "run.log").read_text()


def flags_of(run_dir: Path) -> dict:
    """Return the flags that config.json records."""
    return json.loads((run_dir / "config.json").read_text())["flags"]


def results(run_dir: Path) -> list[dict]:
    return json.loads((run_dir / "results.json").read_text())["results"]


def weights(run_dir: Path) -> dict:
    """Load the method's tensors from the run's last state."""
    return torch.load(run_dir / "last.pt", weights_only=True)["method"]


def same(first: dict, second: dict) -> bool:
    """Return whether two state dicts are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
