"""One DGCNN training step and inference: ours against the published formulation, in one run.

    python -m benchmarks.step --sizes 8x1024 8x2048 16x1024 --json step.json

Both sides have the same weights and clouds and first show that they compute the same function. Times are taken
A B A B ..., medians of the rounds; the peak memory of each side comes from a process of its own. A training step is
forward and backward of the encoder. Clouds are distinct random points, or with --dropout those of pre-training, of
which up to 7/8 are copies of point 0.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.published_dgcnn import PublishedDGCNN
from datasets.point_transforms import PUBLISHED_AUGMENT, unit_sphere
from models.dgcnn import DGCNN
from utils import run
from utils.allocator import keep_freed_memory
from utils.checkpoint import provenance
from utils.cli import run_main

SIDES = {"published": PublishedDGCNN, "ours": DGCNN}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["8x1024", "8x2048", "16x1024"], metavar="CLOUDSxPOINTS")
    parser.add_argument("--k", type=int, default=20, help="neighbours per point")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each side")
    parser.add_argument("--dropout", action="store_true", help="clouds as pre-training augments them")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--memory_of", choices=list(SIDES), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    run.require_at_least(1, args, "k", "rounds")
    return args


def parse_size(text: str) -> tuple[int, int]:
    """Clouds and points of "8x1024".

    Raises:
        ValueError: not such a text.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--sizes {text}: expected CLOUDSxPOINTS such as 8x1024")
    return int(parts[0]), int(parts[1])


def make_clouds(num_clouds: int, num_points: int, *, dropout: bool) -> Tensor:
    """Random clouds (B, N, 3) in the unit sphere, always the same."""
    rng = np.random.default_rng(0)
    clouds = unit_sphere(rng.standard_normal((num_clouds, num_points, 3)).astype(np.float32))
    if dropout:
        clouds = np.stack([PUBLISHED_AUGMENT(cloud, rng) for cloud in clouds])
    return torch.from_numpy(clouds)


def build(side: str, k: int, device: torch.device) -> nn.Module:
    """The encoder of one side, with the weights of a fixed seed."""
    torch.manual_seed(0)
    weights = DGCNN(k).state_dict()
    encoder = SIDES[side](k)
    encoder.load_state_dict(weights)
    return encoder.to(device)


def training_step(encoder: nn.Module, points: Tensor) -> Tensor:
    """Forward and backward; the features."""
    encoder.train().zero_grad(set_to_none=True)
    features = encoder(points)
    features.square().mean().backward()
    return features.detach()


@torch.inference_mode()
def inference(encoder: nn.Module, points: Tensor) -> Tensor:
    """Features in eval mode."""
    return encoder.eval()(points)


TASKS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {"train": training_step, "inference": inference}


def check_equal(encoders: dict[str, nn.Module], points: Tensor) -> float:
    """Largest relative difference of the features of both sides.

    Raises:
        ValueError: they are not the same function.
    """
    ours, published = (inference(encoders[side], points).double() for side in ("ours", "published"))
    difference = ((ours - published).norm() / published.norm()).item()
    if not difference < 1e-3:
        raise ValueError(f"the two sides differ by {difference:.1e} (relative): nothing to compare")
    return difference


def seconds(task: Callable, encoder: nn.Module, points: Tensor) -> float:
    """Wall time of one call."""
    if points.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    task(encoder, points)
    if points.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def time_both(task: Callable, encoders: dict[str, nn.Module], points: Tensor, rounds: int) -> dict[str, float]:
    """Median seconds of each side, measured in turns after one call of each."""
    times: dict[str, list[float]] = {side: [] for side in encoders}
    for _ in range(rounds + 1):
        for side, encoder in encoders.items():
            times[side].append(seconds(task, encoder, points))
    return {side: statistics.median(values[1:]) for side, values in times.items()}


def memory_of(side: str, size: str, args: argparse.Namespace) -> float:
    """MiB that three training steps of one side need beyond weights and input, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.step", "--memory_of", side, "--sizes", size, "--k", str(args.k)]
    command += ["--device", args.device, *(["--dropout"] if args.dropout else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_memory(args: argparse.Namespace, device: torch.device) -> None:
    """What `memory_of` asks for."""
    points = make_clouds(*parse_size(args.sizes[0]), dropout=args.dropout).to(device)
    encoder = build(args.memory_of, args.k, device)
    training_step(encoder, points[:2, : args.k + 1])  # libraries and thread pools
    before = restart_peak(device)
    for _ in range(3):
        training_step(encoder, points)
    print(peak(device) - before)


def restart_peak(device: torch.device) -> float:
    """Forget the highest memory so far; the present one in MiB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak(device: torch.device) -> float:
    """Highest memory in MiB since `restart_peak`: allocated on a CUDA device, else resident."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> float:
    """A size of this process in MiB, as Linux counts it."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) / 2**10


def compare(size: str, args: argparse.Namespace, device: torch.device) -> dict:
    """All figures of one size."""
    num_clouds, num_points = parse_size(size)
    points = make_clouds(num_clouds, num_points, dropout=args.dropout).to(device)
    encoders = {side: build(side, args.k, device) for side in SIDES}
    record = {"clouds": num_clouds, "points": num_points, "k": args.k, "dropout": args.dropout}
    record["difference"] = check_equal(encoders, points)
    for name, task in TASKS.items():
        times = time_both(task, encoders, points, args.rounds)
        record |= {f"{name}_ms_{side}": 1e3 * value for side, value in times.items()}
        record[f"{name}_ratio"] = times["published"] / times["ours"]
    memory = {side: memory_of(side, size, args) for side in SIDES}
    if min(memory.values()) <= 0:
        raise ValueError(f"--sizes {size}: too small for its memory to be seen")
    record |= {f"memory_mib_{side}": value for side, value in memory.items()}
    return record | {"memory_ratio": memory["published"] / memory["ours"]}


def main(args: argparse.Namespace) -> None:
    device = run.get_device(args.device)
    keep_freed_memory(device)
    if args.memory_of:
        print_memory(args, device)
        return
    records = []
    print("size        task        published        ours     ratio")
    for size in args.sizes:
        record = compare(size, args, device)
        for name, unit in (("train", "ms"), ("inference", "ms"), ("memory", "mib")):
            published, ours = (record[f"{name}_{unit}_{side}"] for side in SIDES)
            shown = "MiB" if unit == "mib" else unit
            ratio = record[f"{name}_ratio"]
            print(f"{size:10}  {name:10} {published:9.0f} {shown:4} {ours:8.0f} {shown:4} {ratio:6.2f}x", flush=True)
        records.append(record)
    if args.json:
        origin = provenance() | {"device": str(device), "threads": torch.get_num_threads()}
        args.json.write_text(json.dumps(origin | {"records": records}, indent=2) + "\n")


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
