"""A run's folder, its recorded configuration, and the device it uses."""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

import torch

from utils.checkpoint import STATE_FILE, provenance

CONFIG_FILE = "config.json"
# Flags that may differ when a run is resumed: none of them changes what is learned.
_FREE_ON_RESUME = {
    "resume", "device", "no_cuda", "num_workers", "print_freq", "save_freq", "wandb", "data_root", "test_batch_size",
    "overwrite", "eval", "eval_root", "json",
}  # fmt: skip


def add_common_args(parser: argparse.ArgumentParser) -> None:
    """Flags every program with an encoder has: data, device, seed, workers."""
    group = parser.add_argument_group("data and machine")
    group.add_argument(
        "--data_root",
        default=os.environ.get("CROSSPOINT_DATA", "data"),
        help="folder of the data sets (default: the environment variable CROSSPOINT_DATA, else data)",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument("--seed", type=int, default=1, help="weights, data order and augmentations")
    group.add_argument("--num_workers", type=int, default=2, help="loader processes; 0 loads in this one")


def require_positive(args: argparse.Namespace, *names: str) -> None:
    """Refuse counts below 1.

    Raises:
        ValueError: names the first such flag.
    """
    for name in names:
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(args, name)}")


def require_not_negative(args: argparse.Namespace, *names: str) -> None:
    """Refuse counts below 0.

    Raises:
        ValueError: names the first such flag.
    """
    for name in names:
        if getattr(args, name) < 0:
            raise ValueError(f"--{name} must be at least 0, got {getattr(args, name)}")


def get_device(name: str) -> torch.device:
    """The torch device of `--device`; "auto" takes CUDA where there is one.

    Raises:
        ValueError: a CUDA device this machine does not have, or another kind of device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"--device {name}: only cpu and cuda are supported; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; use --device cpu"
        )
    return device


def open_run(run_dir: Path, config: dict, *, resume: bool, overwrite: bool = False) -> None:
    """Create the run folder and record its configuration, or check that a resumed run goes on as it began.

    Raises:
        ValueError: the folder holds a run and neither `resume` nor `overwrite` is set, or a resumed run differs in a
            flag that changes what is learned.
    """
    path = run_dir / CONFIG_FILE
    if (run_dir / STATE_FILE).exists() and not resume and not overwrite:
        raise ValueError(
            f"{run_dir} already holds a run; continue it with --resume, choose another --exp_name, or --overwrite it"
        )
    if resume and path.is_file():
        _check_same(json.loads(path.read_text())["flags"], config, path)
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    if overwrite:
        stale = [run_dir / name for name in (STATE_FILE, "metrics.jsonl", "results.json", "nonfinite.pt")]
        for path in [*stale, *(run_dir / "models").glob("*.pth")]:
            path.unlink(missing_ok=True)
    record = {"command": shlex.join(sys.argv), "flags": config, **provenance()}
    path.write_text(json.dumps(record, indent=2) + "\n")


def _check_same(before: dict, now: dict, path: Path) -> None:
    changed = [key for key in before.keys() & now.keys() - _FREE_ON_RESUME if before[key] != now[key]]
    if changed:
        difference = ", ".join(f"--{key} was {before[key]}, now {now[key]}" for key in sorted(changed))
        raise ValueError(f"cannot resume with other settings than {path}: {difference}")
