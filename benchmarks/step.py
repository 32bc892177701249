"""Training step and inference of DGCNN: the published formulation against ours, in one run.

    python -m benchmarks.step --sizes 8x1024 8x2048 16x1024 --record
    python -m benchmarks.step --growth --record

Both sides have the same weights and clouds; the program first checks that they compute the same function. A training
step is forward and backward of the encoder. Sides are timed in turns; figures are medians of the rounds. Peak memory is
measured in a process for each side; a side that runs out of memory is recorded as such and not timed. Clouds are
distinct random points or, with --dropout, clouds as pre-training augments them: up to 7/8 of their points are copies of
point 0. The published formulation needs about 20 GiB at 64x2048.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.harness.growth import find_growth
from benchmarks.harness.inputs import make_clouds, parse_size
from benchmarks.harness.memory import ends_when_full, print_usage, run_alone
from benchmarks.harness.records import Figure, Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import in_turns
from benchmarks.published.published_dgcnn import PublishedDGCNN
from models.encoders.dgcnn import DGCNN
from utils.cli import run_main
from utils.flags import add_device_arg, program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

SIDES = {"published": PublishedDGCNN, "ours": DGCNN}
SIZES = [f"{clouds}x{points}" for clouds in (8, 16, 20, 64) for points in (1024, 2048)]
# --growth varies one of the three and leaves the others at these values.
BASE_CLOUDS, BASE_POINTS, BASE_K = 8, 1024, 20
GROWTH_K, GROWTH_CLOUDS = (10, 20, 40), (4, 8, 16)


class Setting(NamedTuple):
    """Input size and neighbours of one comparison."""

    clouds: int
    points: int
    k: int
    dropout: bool

    def __str__(self) -> str:
        clouds = "augmented" if self.dropout else "distinct"
        return setting_text(B=self.clouds, N=self.points, k=self.k, clouds=clouds)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument(
        "--sizes",
        nargs="+",
        metavar="CLOUDSxPOINTS",
        help=f"default: 8x1024 8x2048 16x1024, none with --growth; all of the issue: {' '.join(SIZES)}",
    )
    parser.add_argument("--k", type=int, default=BASE_K, help="neighbours per point")
    parser.add_argument(
        "--growth",
        type=int,
        nargs="*",
        metavar="POINTS",
        help=f"also vary N (default 512 1024 2048), k and B around {BASE_CLOUDS}x{BASE_POINTS}, k {BASE_K}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each side")
    parser.add_argument("--dropout", action="store_true", help="clouds as pre-training augments them")
    add_device_arg(parser)
    parser.add_argument("--memory_of", choices=list(SIDES), help=argparse.SUPPRESS)
    add_output_args(parser)
    return parser.parse_args(argv)


def settings(args: argparse.Namespace) -> list[Setting]:
    """List the settings that the flags ask for, each once."""
    sizes = args.sizes or (["8x1024", "8x2048", "16x1024"] if args.growth is None else [])
    wanted = [Setting(*parse_size(size), args.k, args.dropout) for size in sizes]
    if args.growth is not None:
        wanted += [Setting(BASE_CLOUDS, n, BASE_K, args.dropout) for n in args.growth or (512, 1024, 2048)]
        wanted += [Setting(BASE_CLOUDS, BASE_POINTS, k, args.dropout) for k in GROWTH_K]
        wanted += [Setting(b, BASE_POINTS, BASE_K, args.dropout) for b in GROWTH_CLOUDS]
    return list(dict.fromkeys(wanted))


def build(side: str, k: int, device: torch.device) -> nn.Module:
    """Build the encoder of one side with the weights of a fixed seed."""
    torch.manual_seed(0)
    weights = DGCNN(k).state_dict()
    encoder = SIDES[side](k)
    encoder.load_state_dict(weights)
    return encoder.to(device)


def training_step(encoder: nn.Module, points: Tensor) -> Tensor:
    """Run forward and backward; return the features."""
    encoder.train().zero_grad(set_to_none=True)
    features = encoder(points)
    features.square().mean().backward()
    return features.detach()


@torch.inference_mode()
def inference(encoder: nn.Module, points: Tensor) -> Tensor:
    """Compute the features in eval mode."""
    return encoder.eval()(points)


TASKS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {"training step": training_step, "inference": inference}
MEMORY = "training memory"
# On relative differences of features in eval and in training, and of a gradient. They are wide because in float32 the
# two sides choose different neighbours at nearly equal distances.
BOUNDS = (1e-2, 1e-2, 1e-1)


def check_equal(encoders: dict[str, nn.Module], points: Tensor) -> float:
    """Return the largest relative difference of the two sides' features and gradients.

    Raises:
        ValueError: a difference is beyond its bound, so the sides are different functions.
    """
    results = []
    for side in ("ours", "published"):
        encoder = encoders[side]
        results.append([inference(encoder, points), training_step(encoder, points), encoder.conv5[0].weight.grad])
    differences = [
        ((ours.double() - theirs.double()).norm() / theirs.double().norm()).item() for ours, theirs in zip(*results)
    ]
    for difference, bound in zip(differences, BOUNDS):
        if not difference < bound:
            raise ValueError(f"the two sides differ by {difference:.1e} (relative): nothing to compare")
    return max(differences)


def memory_of(side: str, setting: Setting, device: str) -> float | None:
    """Measure the MiB that training steps of one side need beyond weights and input; None: out of memory."""
    size = f"{setting.clouds}x{setting.points}"
    flags = ["--memory_of", side, "--sizes", size, "--k", setting.k, "--device", device]
    usage = run_alone("benchmarks.step", [*flags, *(["--dropout"] if setting.dropout else [])])
    if usage is None:
        return None
    if usage["mib"] <= 0:
        raise ValueError(f"--sizes {size}: too small for its memory to be seen")
    return usage["mib"]


def print_memory(args: argparse.Namespace, device: torch.device) -> None:
    """Measure one side in this process, which `memory_of` started, and print its usage."""
    (setting,) = settings(args)
    encoder = build(args.memory_of, setting.k, device)
    small = make_clouds(2, setting.k + 1, dropout=setting.dropout).to(device)
    training_step(encoder, small)  # libraries and thread pools
    with ends_when_full(device):
        points = make_clouds(setting.clouds, setting.points, dropout=setting.dropout).to(device)
        print_usage(lambda: training_step(encoder, points), device)


def compare(setting: Setting, args: argparse.Namespace, device: torch.device) -> Iterator[Figure]:
    """Measure all figures of one setting; only sides that fit into memory are timed."""
    memory = {side: memory_of(side, setting, args.device) for side in SIDES}
    fitting = [side for side, mib in memory.items() if mib is not None]
    points = make_clouds(setting.clouds, setting.points, dropout=setting.dropout).to(device)
    encoders = {side: build(side, setting.k, device) for side in fitting}
    if len(fitting) == len(SIDES):
        check_equal(encoders, points)
    for name, task in TASKS.items():
        calls = {side: lambda encoder=encoder, task=task: task(encoder, points) for side, encoder in encoders.items()}
        times = in_turns(calls, args.rounds, device)
        for side in SIDES if task is training_step else fitting:
            yield Figure(str(setting), side, name, 1e3 * times[side] if side in times else None, "ms", args.rounds)
    yield from figures_of(str(setting), MEMORY, "MiB", memory)


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "k", "rounds")
    device = get_device(args.device)
    if args.memory_of:
        print_memory(args, device)
        return
    keep_freed_memory(device)  # not before print_memory, which would count kept memory as needed
    wanted, recorder = settings(args), Recorder(args, "step", device)
    for setting in wanted:
        recorder.add(compare(setting, args, device))
    for key in ("N", "k", "B"):
        for growth in find_growth(recorder.rows, key):
            print(f"{growth.figure} of {growth.side} grows as {key}^{growth.exponent:.2f} ({growth.rest})")


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
