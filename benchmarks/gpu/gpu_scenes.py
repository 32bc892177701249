"""Compare a training step of the networks for scenes on a device with the same step on the CPU, in float64.

    python -m benchmarks.gpu.gpu_scenes --device cuda --json scenes.json

SR-UNet on the voxels of a room, with every neighbour search and map made on the device; VoteNet on PointNet++ on random
points, with its sampling and grouping. Which points are sampled depends on distances that float64 tells apart. The exit
status is 1 if an error exceeds its bound.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gpu.gpu_check import Check, gradients, judge, relative
from benchmarks.sparse_conv.room_surface import VOXEL, room_voxels
from models.detection.vote_backbone import VoteBackbone
from models.detection.vote_network import VoteNet
from models.encoders.scenes.sr_unet import SRUNet
from models.sparse.voxelise import voxelise
from utils.cli import run_main
from utils.flags import add_device_arg
from utils.processes.device import get_device

BOUND = 1e-8  # of the whole network: rounding adds up over its layers
SIZES = ((0.5, 0.5, 0.5), (1.0, 1.0, 0.4))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxels", type=int, default=8000, help="of the room")
    parser.add_argument("--plan", default="14A", help="of SR-UNet")
    parser.add_argument("--clouds", type=int, default=2, help="a batch of VoteNet")
    parser.add_argument("--points", type=int, default=4096, help="of one of its clouds")
    add_device_arg(parser)
    parser.add_argument("--json", type=Path, help="write the errors here")
    return parser.parse_args(argv)


def unet_step(args: argparse.Namespace) -> Callable[[torch.device], dict[str, Tensor]]:
    """Return a step of SR-UNet from points to logits."""
    cells = room_voxels(args.voxels).coordinates[:, 1:]
    points = (cells.double() + 0.5) * VOXEL
    colours = torch.rand(points.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def step(device: torch.device) -> dict[str, Tensor]:
        torch.manual_seed(0)
        network = SRUNet(3, 20, plan=args.plan).double().to(device)
        voxels = voxelise(points.to(device), colours.to(device), VOXEL, [len(points)])
        return gradients(network, voxels.to_points(network(voxels.tensor).features))

    return step


def detector_step(args: argparse.Namespace) -> Callable[[torch.device], dict[str, Tensor]]:
    """Return a step of VoteNet from points to boxes."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand((args.clouds, args.points, 3), dtype=torch.float64, generator=generator) * 3

    def step(device: torch.device) -> dict[str, Tensor]:
        torch.manual_seed(0)
        network = VoteNet(VoteBackbone(0), SIZES, 1).double().to(device)
        boxes = network(points.to(device)).boxes
        return gradients(network, torch.cat([boxes.centre, boxes.class_scores], dim=2))

    return step


def compare(name: str, step: Callable[[torch.device], dict[str, Tensor]], device: torch.device) -> list[Check]:
    """Run a step on the CPU and on the device.

    Gradients that rounding alone makes, such as of a bias before a BatchNorm, are measured by the largest.
    """
    exact, found = step(torch.device("cpu")), step(device)
    least = 1e-6 * max(value.norm() for value in exact.values())
    return [
        Check(name, "torch.float64", key, relative(found[key].cpu(), value), BOUND)
        for key, value in exact.items()
        if value.norm() > least
    ]


def main(args: argparse.Namespace) -> int:
    device = get_device(args.device)
    checks = [*compare("sr_unet", unet_step(args), device), *compare("votenet", detector_step(args), device)]
    return judge(checks, device, args.json)


if __name__ == "__main__":
    run_main(main, parse_args())
