"""Bitwise comparison of two runs: states, weights and metrics."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from tests.stress.contents import digest, leaves
from utils.run.names import METRICS_FILE, STATE_FILE

_STATE_KEYS = ("method", "optimizer", "schedule", "scaler", "rng", "best", "bad_samples")
_TIMES = {"shapes_per_s", "data_wait", "peak_mib", "hours"}


def differences(expected: Path, found: Path) -> list[str]:
    """List what differs between the folders of two finished runs, one line each; times are not compared."""
    names = [{path.name for path in (run_dir / "models").glob("*.pth")} for run_dir in (expected, found)]
    lines = [f"models/{name} is in one run alone" for name in sorted(names[0] ^ names[1])]
    for name in [STATE_FILE, *(f"models/{name}" for name in sorted(names[0] & names[1]))]:
        places = _unequal(_read(expected / name), _read(found / name))
        lines += [f"{name}: {len(places)} values differ, {places[0]} is one"] if places else []
    return lines + _unequal_metrics(expected, found)


def num_tensors(run_dir: Path) -> int:
    """Count the tensors that `differences` compares."""
    files = [run_dir / STATE_FILE, *(run_dir / "models").glob("*.pth")]
    return sum(isinstance(value, Tensor) for path in files for _, value in leaves(_read(path)))


def _read(path: Path) -> dict:
    state = torch.load(path, map_location="cpu", weights_only=True)
    if path.name != STATE_FILE:
        return state
    position = {key: state["progress"][key] for key in ("epoch", "step")}
    return {key: state[key] for key in _STATE_KEYS} | {"progress": position}


def _unequal(expected: dict, found: dict) -> list[str]:
    wanted, got = ({place: digest(value) for place, value in leaves(state)} for state in (expected, found))
    return sorted({place for place, _ in wanted.items() ^ got.items()})


def _unequal_metrics(expected: Path, found: Path) -> list[str]:
    """List epochs that are missing or differ in losses and scores, in any line of an epoch that ended twice."""
    wanted = dict(_metrics(expected))
    got = list(_metrics(found))
    lines = [f"{METRICS_FILE}: epoch {epoch} is in one run alone" for epoch in wanted.keys() ^ {e for e, _ in got}]
    return lines + [f"{METRICS_FILE}: epoch {epoch}" for epoch, values in got if values != wanted.get(epoch, values)]


def _metrics(run_dir: Path) -> Iterator[tuple[int, dict[str, float]]]:
    for line in (run_dir / METRICS_FILE).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        yield record["epoch"], {key: value for key, value in record.items() if key not in _TIMES}
