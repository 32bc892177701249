"""Peak memory of a training on the CPU against its steps: numbers of rows as they come, or rounded to a few.

    python -m benchmarks.machine.memory_growth --record

Both sides train our DGCNN with Adam on freshly augmented clouds, in processes of their own that step in turns, A B A B.
Peaks are resident memory after the first turn and after the last. oneDNN computes the products of points and weights
in float32, as it does for torch under --amp bf16 on processors with AVX-512; --products torch trains as --amp none
does, where torch calls MKL on x86.
"""

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness.inputs import parse_size
from benchmarks.harness.memory import peak
from benchmarks.harness.records import Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import seconds
from datasets.transforms.point_transforms import PUBLISHED_AUGMENT, unit_sphere
from models.encoders.dgcnn import AUTOCAST_SIZES, DGCNN
from models.rows import merge_copies
from utils.cli import run_main
from utils.flags import program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.training.optim import build_optimizer

SIDES = {"ragged": None, "rounded": AUTOCAST_SIZES}
CPU = torch.device("cpu")
TORCH_LINEAR = F.linear


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--size", default="64x512", metavar="CLOUDSxPOINTS", help="two clouds per shape of a batch")
    parser.add_argument("--k", type=int, default=15, help="neighbours per point")
    parser.add_argument("--steps", type=int, default=1000, help="of each side")
    parser.add_argument("--turn", type=int, default=50, help="steps of a side before it is the other's turn")
    parser.add_argument("--products", choices=["onednn", "torch"], default="onednn", help="what computes them")
    parser.add_argument("--alone", choices=list(SIDES), help=argparse.SUPPRESS)
    add_output_args(parser)
    return parser.parse_args(argv)


class _OneDNNProduct(torch.autograd.Function):
    """x W^T. Shape: x (M, C), W (D, C) -> (M, D)."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return _product(x, weight)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return _product(grad, weight.T), _product(grad.T, x.T)


def _product(a: Tensor, b: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(a.contiguous(), b.contiguous(), None, "none", [], "")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute torch's linear map, in float32 by oneDNN."""
    if x.dtype != torch.float32:
        return TORCH_LINEAR(x, weight, bias)
    out = _OneDNNProduct.apply(x, weight)
    return out if bias is None else out + bias


def take_turns(args: argparse.Namespace) -> None:
    """Train in this process, which `measure` started; each line read asks for a turn, each printed tells of one."""
    num_clouds, num_points = parse_size(args.size)
    keep_freed_memory(CPU)
    torch.manual_seed(0)
    encoder = DGCNN(args.k).train()
    optimizer = build_optimizer(encoder.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def step(points: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        encoder(points).square().mean().backward()
        optimizer.step()

    with ExitStack() as patches:
        merge = partial(merge_copies, max_sizes=SIDES[args.alone])
        patches.enter_context(mock.patch("models.encoders.dgcnn.merge_copies", lambda points, _: merge(points)))
        if args.products == "onednn":
            patches.enter_context(mock.patch.object(F, "linear", linear))
        for line in sys.stdin:
            times = []
            for _ in range(int(line)):
                clouds = unit_sphere(rng.standard_normal((num_clouds, num_points, 3)).astype(np.float32))
                points = torch.from_numpy(np.stack([PUBLISHED_AUGMENT(cloud, rng) for cloud in clouds]))
                times.append(seconds(lambda points=points: step(points), CPU))
            print(json.dumps({"mib": peak(CPU), "seconds": times}), flush=True)


def ask(process: subprocess.Popen, steps: int) -> dict:
    """Let a side take steps; return its peak MiB so far and the seconds of each step.

    Raises:
        RuntimeError: the process ended instead; its own message stands above.
    """
    try:
        process.stdin.write(f"{steps}\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # its answer is missing too
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError(f"{' '.join(process.args)} ended with status {process.wait()}")
    return json.loads(answer)


def measure(args: argparse.Namespace) -> dict[str, list[dict]]:
    """Return what each side answered, turn by turn."""
    flags = ["--size", args.size, "--k", str(args.k), "--products", args.products]
    command = [sys.executable, "-m", "benchmarks.machine.memory_growth", *flags, "--alone"]
    with ExitStack() as stack:
        sides = {}
        for side in SIDES:
            process = subprocess.Popen([*command, side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            sides[side] = stack.enter_context(process)  # leaving closes its input, which ends it
        turns: dict[str, list[dict]] = {side: [] for side in SIDES}
        for done in range(0, args.steps, args.turn):
            for side, process in sides.items():
                turns[side].append(ask(process, min(args.turn, args.steps - done)))
            peaks = ", ".join(f"{side} {answers[-1]['mib']:.0f} MiB" for side, answers in turns.items())
            print(f"peak after {min(done + args.turn, args.steps)} steps: {peaks}", flush=True)
    return turns


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "k", "turn")
    require_at_least(args.turn + 1, args, "steps")
    if args.alone:
        take_turns(args)
        return
    num_clouds, num_points = parse_size(args.size)
    recorder = Recorder(args, "memory_growth", CPU)
    turns = measure(args)
    setting = setting_text(B=num_clouds, N=num_points, k=args.k, products=args.products, steps=args.steps)
    first = {side: answers[0]["mib"] for side, answers in turns.items()}
    last = {side: answers[-1]["mib"] for side, answers in turns.items()}
    times = {side: [time for answer in answers for time in answer["seconds"]] for side, answers in turns.items()}
    milliseconds = {side: 1e3 * statistics.median(values[1:]) for side, values in times.items()}
    growth = {side: last[side] / first[side] for side in SIDES}
    recorder.add(
        figures_of(setting, f"peak after {args.turn} steps", "MiB", first)
        + figures_of(setting, "peak after all steps", "MiB", last)
        + figures_of(setting, "growth of the peak", "x", growth)
        + figures_of(setting, "step", "ms", milliseconds, args.steps - 1)
    )


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
