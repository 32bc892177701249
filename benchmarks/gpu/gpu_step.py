"""Time CrossPoint's complete pre-training step in one form: DGCNN and ResNet-50, NT-Xent, Adam.

    python -m benchmarks.gpu.gpu_step --form bf16 --batch 256 --json step.json

A process measures one form, so that its peak memory is its own and running out of memory, exit status 3, affects no
other. Clouds are like those of pre-training: always the same batch, already on the device.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.harness.inputs import make_clouds
from benchmarks.harness.timing import in_turns, seconds
from benchmarks.published.published_dgcnn import PublishedDGCNN
from models.encoders.dgcnn import DGCNN
from models.encoders.image_resnet import ImageResNet
from models.methods.crosspoint import CrossPoint
from utils.cli import run_main
from utils.files import write_text
from utils.flags import add_device_arg, require_at_least
from utils.processes.device import get_device
from utils.training.engine import Precision, Progress, Stepper, train_one_epoch
from utils.training.optim import WEIGHT_DECAY, build_optimizer, cosine_schedule

OUT_OF_MEMORY = 3  # exit status
WARM_UP = 3  # steps that are not timed


class Form(NamedTuple):
    """Way to compute the step. `published`: edge tensor, images as (B, C, H, W), torch's default Adam."""

    published: bool = False
    amp: str = "none"
    compiled: bool = False


FORMS = {
    "published": Form(published=True),
    "float32": Form(),
    "bf16": Form(amp="bf16"),
    "bf16_compiled": Form(amp="bf16", compiled=True),
}


class PublishedImages(nn.Module):
    """torchvision's ResNet, unchanged."""

    def __init__(self, encoder: ImageResNet):
        super().__init__()
        self.resnet = encoder.resnet

    def forward(self, images: Tensor) -> Tensor:
        return self.resnet(images)


class Repeated:
    """Loader that yields one batch `num_steps` times per epoch."""

    def __init__(self, batch: dict[str, Tensor], num_steps: int):
        self.batch, self.num_steps = batch, num_steps

    def __len__(self) -> int:
        return self.num_steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        return (dict(self.batch) for _ in range(start, self.num_steps))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=list(FORMS), default="bf16", help="how the step is computed")
    parser.add_argument("--batch", type=int, default=20, help="shapes; twice as many clouds")
    parser.add_argument("--points", type=int, default=2048, help="of a cloud")
    parser.add_argument("--k", type=int, default=15, help="neighbours per point")
    parser.add_argument("--image_size", type=int, default=224, help="pixels, square")
    parser.add_argument("--image_depth", type=int, default=50, help="of the ResNet: 18, 34 or 50")
    parser.add_argument("--steps", type=int, default=10, help="timed steps")
    add_device_arg(parser)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args(argv)


def make_batch(args: argparse.Namespace, device: torch.device) -> dict[str, Tensor]:
    """Make the batch that a loader would yield, on the device."""
    clouds = make_clouds(2 * args.batch, args.points, dropout=True).to(device)
    images = torch.randn(args.batch, 3, args.image_size, args.image_size, generator=torch.Generator().manual_seed(0))
    aug_a, aug_b = clouds.chunk(2)
    return {"aug_a": aug_a, "aug_b": aug_b, "image": images.to(device), "index": torch.arange(args.batch)}


def build(form: Form, args: argparse.Namespace, device: torch.device) -> tuple[CrossPoint, torch.optim.Optimizer]:
    """Build method and optimiser of one form."""
    torch.manual_seed(0)
    method = CrossPoint(DGCNN(args.k), ImageResNet(args.image_depth))
    if form.published:
        weights, method.point_encoder = method.point_encoder.state_dict(), PublishedDGCNN(args.k)
        method.point_encoder.load_state_dict(weights)
        method.image_encoder = PublishedImages(method.image_encoder)
    method.to(device)
    if form.compiled:
        method.image_encoder.compile()
    if form.published:
        return method, torch.optim.Adam(method.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)
    return method, build_optimizer(method.parameters(), lr=1e-3)


def parts(method: CrossPoint, batch: dict[str, Tensor], form: Form, device: torch.device) -> dict[str, float]:
    """Time forward and backward of each encoder alone, in milliseconds."""
    points, dtype = torch.cat([batch["aug_a"], batch["aug_b"]]), Precision.from_name(form.amp, device).dtype

    def both_ways(encoder: nn.Module, x: Tensor) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            features = encoder(x)
        features.float().square().mean().backward()

    calls = {
        "points_ms": lambda: both_ways(method.point_encoder, points),
        "images_ms": lambda: both_ways(method.image_encoder, batch["image"]),
    }
    return {name: 1e3 * value for name, value in in_turns(calls, 3, device).items()}


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, float | str]:
    """Measure all figures of one form."""
    form, batch = FORMS[args.form], make_batch(args, device)
    method, optimizer = build(form, args, device)
    schedule = cosine_schedule(optimizer, WARM_UP + args.steps)
    means: dict[str, float] = {}

    stepper = Stepper(method, optimizer, schedule, device=device, precision=Precision.from_name(form.amp, device))

    def train(num_steps: int) -> None:
        means.update(train_one_epoch(stepper, Repeated(batch, num_steps), Progress(), report=lambda line: None))

    train(WARM_UP)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elapsed = seconds(lambda: train(args.steps), device)
    figures = {"step_ms": 1e3 * elapsed / args.steps, "shapes_per_s": args.batch * args.steps / elapsed}
    figures |= {"peak_mib": means["peak_mib"], "loss": means["loss/total"]}
    if device.type == "cuda":
        figures["peak_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
        figures["reserved_mib"] = torch.cuda.max_memory_reserved(device) / 2**20
    setting = {name: getattr(args, name) for name in ("form", "batch", "points", "k", "image_size", "image_depth")}
    return setting | figures | parts(method, batch, form, device)


def main(args: argparse.Namespace) -> int:
    require_at_least(1, args, "batch", "points", "k", "image_size", "steps")
    try:
        figures = measure(args, get_device(args.device))
    except RuntimeError as error:  # torch.OutOfMemoryError, or a library's own error
        if "out of memory" not in str(error):
            raise
        print(f"out of memory: {error}", file=sys.stderr)
        return OUT_OF_MEMORY
    if args.json:
        write_text(args.json, json.dumps(figures, indent=1) + "\n")
    print(
        " ".join(f"{name}={round(value, 1) if isinstance(value, float) else value}" for name, value in figures.items())
    )
    return 0


if __name__ == "__main__":
    run_main(main, parse_args())
