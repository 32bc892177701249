"""Throughput of the pre-training step on one rank or two, with one core or two and the same global batch.

    python -m benchmarks.scaling --rounds 3

A step is that of train_crosspoint.py's engine: DGCNN and ResNet, NT-Xent, Adam; batches are in memory. The forms, ranks
x threads, are 1x1, 1x2 and 2x1 (torchrun, gloo); each runs in processes of its own, in turns. "In collectives" is the
share of the step that rank 0 spends in collectives for statistics and embeddings, waiting for the other rank included.
Gradients are averaged during the backward pass and do not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import distributed

from benchmarks.gpu.gpu_step import FORMS, Repeated, build, make_batch
from benchmarks.harness.records import Figure, Recorder, add_output_args, figures_of, setting_text
from models.distributed import get_rank, get_world_size
from utils.cli import run_main
from utils.files import write_text
from utils.flags import add_flags, program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.collectives import is_main_process
from utils.processes.device import get_device
from utils.processes.launch import ProcessSettings, process_group
from utils.training.engine import Precision, Progress, Stepper, train_one_epoch
from utils.training.epoch_loader import check_divisible
from utils.training.optim import cosine_schedule


class Form(NamedTuple):
    """Number of processes, and of threads in each."""

    processes: int
    threads: int


BASES = {"1x1": Form(1, 1), "1x2": Form(1, 2)}
SHARED = "2x1"
SIDES = BASES | {SHARED: Form(2, 1)}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--batch", type=int, default=16, help="shapes over all processes; twice as many clouds")
    parser.add_argument("--points", type=int, default=1024, help="of a cloud")
    parser.add_argument("--k", type=int, default=20, help="neighbours per point")
    parser.add_argument("--image_size", type=int, default=64, help="pixels, square")
    parser.add_argument("--image_depth", type=int, default=18, help="of the ResNet: 18, 34 or 50")
    parser.add_argument("--steps", type=int, default=3, help="timed steps a round, after one that is not timed")
    parser.add_argument("--rounds", type=int, default=3, help="of each form")
    parser.add_argument("--alone", type=Path, metavar="FILE.json", help="measure this process group, write the figures")
    parser.add_argument("--threads", type=int, default=1, help="of each process, with --alone")
    add_flags(parser, ProcessSettings, device="cpu")
    add_output_args(parser)
    return parser.parse_args(argv)


@contextmanager
def timed_collectives() -> Iterator[list[float]]:
    """Collect the seconds of every collective that the block calls from Python."""
    times: list[float] = []

    def timed(name: str):
        call = getattr(distributed, name)

        def wrapper(*args, **options):
            start = time.perf_counter()
            result = call(*args, **options)
            times.append(time.perf_counter() - start)
            return result

        return patch.object(distributed, name, wrapper)

    with timed("all_reduce"), timed("all_gather"):
        yield times


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """Time the steps of this rank's part of the batch; "collectives" are the seconds spent there."""
    share = args.batch // get_world_size()
    rows = slice(get_rank() * share, (get_rank() + 1) * share)
    batch = {name: value[rows] for name, value in make_batch(args, device).items()}
    form = FORMS["float32"]
    method, optimizer = build(form, args, device)
    schedule = cosine_schedule(optimizer, 1 + args.steps)
    stepper = Stepper(method, optimizer, schedule, device=device, precision=Precision.from_name(form.amp, device))

    def train(num_steps: int) -> tuple[float, float]:
        start = time.perf_counter()
        means = train_one_epoch(stepper, Repeated(batch, num_steps), Progress(), report=lambda line: None)
        return time.perf_counter() - start, means["loss/total"]

    train(1)
    with timed_collectives() as times:
        seconds, loss = train(args.steps)
    return {"seconds": seconds, "collectives": sum(times), "loss": loss}


def measure_alone(args: argparse.Namespace) -> None:
    """Measure in this process, which `run_form` started; the main process writes the figures."""
    torch.set_num_threads(args.threads)
    with process_group(ProcessSettings.read(vars(args))) as device:
        keep_freed_memory(device)
        figures = measure(args, device)
        if is_main_process():
            write_text(args.alone, json.dumps(figures))


def run_form(form: Form, args: argparse.Namespace) -> dict[str, float]:
    """Run one round of a form in processes of its own and return its figures.

    Raises:
        RuntimeError: the processes failed; carries what they wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": str(form.threads)}
        done = subprocess.run(command(form, args, out), env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(done.args)} failed:\n{done.stderr}")
        return json.loads(out.read_text())


def command(form: Form, args: argparse.Namespace, out: Path) -> list[str]:
    """Return the command that measures a form with these flags and writes its figures to `out`."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={form.processes}"]
    names = ("batch", "points", "k", "image_size", "image_depth", "steps", "device")
    flags = [word for name in names for word in (f"--{name}", str(getattr(args, name)))]
    words = [*(torchrun if form.processes > 1 else []), "-m", "benchmarks.scaling", *flags]
    return [sys.executable, *words, "--threads", str(form.threads), "--alone", str(out)]


def summary(args: argparse.Namespace, rounds: dict[str, list[dict[str, float]]]) -> tuple[list[Figure], list[str]]:
    """Return the figures of every form, medians of its rounds, and lines that compare two processes with one."""
    setting = setting_text(B=args.batch, N=args.points, k=args.k, views=args.image_size, resnet=args.image_depth)
    shapes = args.batch * args.steps
    speed = {name: statistics.median(shapes / one["seconds"] for one in found) for name, found in rounds.items()}
    shares = [one["collectives"] / one["seconds"] for one in rounds[SHARED]]
    figures = figures_of(setting, "throughput", "shapes/s", speed, args.rounds)
    figures.append(Figure(setting, SHARED, "in collectives", 100 * statistics.median(shares), "%", args.rounds))
    lines = []
    for name, form in BASES.items():
        ratios = [base["seconds"] / one["seconds"] for base, one in zip(rounds[name], rounds[SHARED])]
        ratio, cores = statistics.median(ratios), form.processes * form.threads
        lines.append(f"{SHARED} over {name}: {ratio:.2f}x, efficiency {ratio * cores / 2:.0%}")
    return figures, lines


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "points", "k", "image_size", "steps", "rounds", "threads")
    require_at_least(4, args, "batch")
    check_divisible(args.batch, SIDES[SHARED].processes)
    if args.alone:
        measure_alone(args)
        return
    recorder = Recorder(args, "scaling", get_device(args.device))
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    for number in range(args.rounds):
        for name, form in SIDES.items():
            rounds[name].append(run_form(form, args))
            speed = args.batch * args.steps / rounds[name][-1]["seconds"]
            print(f"round {number + 1}: {name} {speed:.2f} shapes/s, loss {rounds[name][-1]['loss']:.4f}", flush=True)
    figures, lines = summary(args, rounds)
    recorder.add(figures)
    print("\n".join(lines))


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
