"""Peak memory and time of one CrossPoint step against its batch and its micro-batch.

    python -m benchmarks.micro_batch --record

A step is forward and backward of both networks: DGCNN, k 15, on two clouds of distinct points (so that all
micro-batches need the same memory), and ResNet-18 on an image of 64 x 64. Each combination runs in a process of its
own; micro-batch 0 is the whole batch at once. Memory is what the steps need beyond weights and input; least squares
says how it grows with the batch and with the micro-batch.
"""

import argparse
import itertools
from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.harness.inputs import make_clouds
from benchmarks.harness.memory import ends_when_full, print_usage, run_alone
from benchmarks.harness.records import Figure, Recorder, add_output_args, setting_text
from models.encoders.dgcnn import DGCNN
from models.encoders.image_resnet import ImageResNet
from models.methods.crosspoint import CrossPoint
from utils.cli import run_main
from utils.flags import add_device_arg, program_parser
from utils.processes.device import get_device
from utils.training.gradient_cache import cached_backward

K, IMAGE_DEPTH, IMAGE_SIZE = 15, 18, 64


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--batch_size", type=int, nargs="+", default=[32, 64, 128], help="shapes of a step")
    parser.add_argument("--micro_batch", type=int, nargs="+", default=[0, 8, 16, 32], help="shapes in memory at once")
    parser.add_argument("--points", type=int, default=512, help="a cloud")
    add_device_arg(parser)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    add_output_args(parser)
    return parser.parse_args(argv)


def check(args: argparse.Namespace) -> None:
    """Refuse sizes with which no step can run.

    Raises:
        ValueError: names the flag.
    """
    if min(args.batch_size) < 2 or min(args.micro_batch) < 0 or 1 in args.micro_batch:
        raise ValueError("--batch_size must be at least 2, --micro_batch 0 or at least 2")
    if args.points < K:
        raise ValueError(f"--points must be at least {K}, got {args.points}")


def make_batch(size: int, num_points: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Make the same two clouds and image per shape at every call."""
    clouds = make_clouds(2 * size, num_points, dropout=False).to(device)
    image = torch.randn(size, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0)).to(device)
    return {"aug_a": clouds[:size], "aug_b": clouds[size:], "image": image}


def step(method: CrossPoint, batch: dict[str, torch.Tensor], micro_batch: int) -> None:
    """Compute the gradients of one batch; micro_batch 0 takes it in one piece."""
    method.zero_grad(set_to_none=True)
    if micro_batch:
        cached_backward(method, batch, micro_batch)
    else:
        torch.stack(list(method(batch).values())).sum().backward()


def print_step(args: argparse.Namespace, device: torch.device) -> None:
    """Measure one combination in this process, which `main` started, and print its usage."""
    torch.manual_seed(0)
    method = CrossPoint(DGCNN(K), ImageResNet(IMAGE_DEPTH)).to(device).train()
    step(method, make_batch(2, K, device), 0)  # libraries and thread pools
    with ends_when_full(device):
        batch = make_batch(args.batch_size[0], args.points, device)
        print_usage(lambda: step(method, batch, args.micro_batch[0]), device)


def slopes(usage: Sequence[tuple[int, int, float]]) -> tuple[float, float]:
    """Fit a plane: MiB per shape of the batch and per shape of the micro-batch.

    Args:
        usage: (batch, micro-batch, MiB), 3 or more, with two or more values of each size.
    """
    batch, micro_batch, mib = np.array(usage).T
    plane = np.linalg.lstsq(np.stack([batch, micro_batch, np.ones(len(mib))], axis=1), mib, rcond=None)[0]
    return float(plane[0]), float(plane[1])


def print_slopes(usage: dict[tuple[int, int], float]) -> None:
    """Print how memory grows, as far as the measured combinations tell."""
    whole = {batch: mib for (batch, micro_batch), mib in usage.items() if not micro_batch}
    if len(whole) > 1:
        slope = np.polyfit(list(whole), list(whole.values()), 1)[0]
        print(f"in one piece: {slope:.2f} MiB for each shape of the batch")
    pieces = [(batch, micro, mib) for (batch, micro), mib in usage.items() if 0 < micro <= batch]
    if len({batch for batch, *_ in pieces}) > 1 and len({micro for _, micro, _ in pieces}) > 1:
        by_batch, by_micro_batch = slopes(pieces)
        print(
            f"in micro-batches: {by_batch:.2f} MiB for each shape of the batch, {by_micro_batch:.2f} MiB for each of "
            "the micro-batch"
        )


def main(args: argparse.Namespace) -> None:
    check(args)
    device = get_device(args.device)
    if args.alone:
        print_step(args, device)
        return
    recorder = Recorder(args, "micro_batch", device)
    memory: dict[tuple[int, int], float] = {}
    for batch, micro_batch in itertools.product(args.batch_size, args.micro_batch):
        flags = ["--batch_size", batch, "--micro_batch", micro_batch, "--points", args.points, "--device", args.device]
        usage = run_alone("benchmarks.micro_batch", [*flags, "--alone"])
        if usage is not None:
            memory[batch, micro_batch] = usage["mib"]
        setting = setting_text(batch=batch, micro_batch=micro_batch, N=args.points, k=K)
        mib, seconds = (usage["mib"], usage["seconds"]) if usage else (None, None)
        recorder.add([Figure(setting, "ours", "memory", mib, "MiB"), Figure(setting, "ours", "step", seconds, "s", 3)])
    print_slopes(memory)


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
