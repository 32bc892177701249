"""Time of a training step on idle and on busy cores, with and without a bound on how long threads wait awake.

    python -m benchmarks.machine.busy_cores --record

The threads of PyTorch wait for one another many times a step. One that arrives first turns in a loop, by the default of
GNU's OpenMP up to 300,000 times, on a core that the other may need to arrive at all; GOMP_SPINCOUNT bounds that. Busy:
as many other processes compute as there are cores. A step is forward and backward of DGCNN, or of an SR-UNet on the
voxels of a slab. Each measurement has a process of its own; the two sides take turns.
"""

import argparse
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import torch

from benchmarks.harness.inputs import make_clouds
from benchmarks.harness.records import Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import in_turns
from models.encoders.registry import build_encoder
from models.encoders.scenes.sr_unet import SRUNet
from models.sparse.voxelise import voxelise
from utils.cli import run_main
from utils.flags import program_parser, require_at_least

NAME, BOUND = "GOMP_SPINCOUNT", "10000"  # as scripts/setup_env.sh sets it
CPU = torch.device("cpu")
_SLAB = (4.0, 4.0, 0.3)  # metres


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=["dgcnn", "sr_unet"], choices=("dgcnn", "sr_unet"))
    parser.add_argument("--steps", type=int, default=5, help="timed in each process; their median counts")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each combination; their median counts")
    parser.add_argument("--spin", default=BOUND, help=f"{NAME} of the bounded side")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    add_output_args(parser)
    return parser.parse_args(argv)


def make_step(model: str) -> Callable[[], None]:
    """Build a network and its input; return what computes its gradients once."""
    torch.manual_seed(0)
    if model == "dgcnn":
        encoder, clouds = build_encoder("dgcnn"), make_clouds(16, 384, dropout=False)
        return lambda: encoder(clouds).square().mean().backward()
    network = SRUNet(3, 20, plan="14A")
    points = torch.rand(6000, 3) * torch.tensor(_SLAB)
    colours = torch.rand(6000, 3)
    return lambda: network(voxelise(points, colours, 0.1, [3000, 3000]).tensor).features.square().mean().backward()


def print_seconds(model: str, steps: int) -> None:
    """Print the median time of a step in this process, which `main` started."""
    print(in_turns({model: make_step(model)}, steps, CPU)[model])


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` processes computing in this block."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measure(model: str, steps: int, spin: str | None) -> float:
    """Return the seconds of a step in a process with GOMP_SPINCOUNT, or without."""
    environment = {key: value for key, value in os.environ.items() if key not in (NAME, "OMP_WAIT_POLICY")}
    environment |= {NAME: spin} if spin else {}
    flags = ["--models", model, "--steps", str(steps), "--alone"]
    command = [sys.executable, "-m", "benchmarks.machine.busy_cores", *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return float(done.stdout)


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "steps", "rounds")
    if args.alone:
        print_seconds(args.models[0], args.steps)
        return
    recorder = Recorder(args, "busy_cores", CPU)
    sides = {"default": None, "bounded": args.spin}
    for model, others in itertools.product(args.models, (0, os.cpu_count() or 1)):
        with busy(others):
            times = {side: [] for side in sides}
            for _, (side, spin) in itertools.product(range(args.rounds), sides.items()):
                times[side].append(1000 * measure(model, args.steps, spin))
        values = {side: median(found) for side, found in times.items()}
        setting = setting_text(model=model, spin=args.spin, busy=others)
        recorder.add(figures_of(setting, "step", "ms", values, args.rounds))


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
