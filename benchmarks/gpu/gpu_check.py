"""Compare what runs on a device with the published formulation in float64, on that device.

    python -m benchmarks.gpu.gpu_check --device cuda --json check.json

Edge convolutions use the neighbours of the reference; the network searches its own. The exit status is 1 if an error
exceeds its bound. In float32 and bfloat16 either of two nearly equal edges may be the maximum. A gradient then goes to
the other point, and its product with the other edge to the convolution's weight: these two have wider bounds.
"""

import argparse
import copy
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness.inputs import make_clouds
from benchmarks.published.published_dgcnn import SLOPE, PublishedDGCNN, edge_tensor, nearest
from models.encoders.dgcnn import DGCNN
from models.layers.edge_conv import EdgeConv
from models.layers.neighbours import knn
from models.rows import CloudRows, flat_index
from utils.cli import run_main
from utils.files import write_text
from utils.flags import add_device_arg
from utils.processes.device import get_device

LAYERS = ((3, 64), (64, 128), (128, 256))  # channels in and out, of DGCNN's edge convolutions
BOUNDS = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.2}
MOVED = ("grad_x", "grad_0.weight")  # by another maximum
MOVED_BOUNDS = {torch.float64: 1e-9, torch.float32: 1e-2, torch.bfloat16: 0.5}


class Check(NamedTuple):
    """A relative error, |ours - exact| / |exact|."""

    name: str
    dtype: str
    quantity: str
    error: float
    bound: float

    @property
    def is_right(self) -> bool:
        return self.error <= self.bound  # false for NaN


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clouds", type=int, default=4, help="a batch")
    parser.add_argument("--points", type=int, default=1024, help="of a cloud")
    parser.add_argument("--k", type=int, default=20, help="neighbours per point")
    add_device_arg(parser)
    parser.add_argument("--json", type=Path, help="write the errors here")
    return parser.parse_args(argv)


def relative(ours: Tensor, exact: Tensor) -> float:
    return ((ours.double() - exact).norm() / exact.norm()).item()


def make_layer(channels: int, width: int, device: torch.device) -> EdgeConv:
    """Build a layer in float64 with scales of both signs."""
    torch.manual_seed(0)
    layer = EdgeConv(channels, width).double()
    with torch.no_grad():
        for tensor in (layer[1].weight, layer[1].bias, layer[1].running_mean):
            tensor.copy_(torch.randn(width))
        layer[1].running_var.copy_(torch.rand(width) + 0.5)
    return layer.to(device)


def published_layer(layer: EdgeConv, x: Tensor, index: Tensor) -> Tensor:
    """Compute max over K of LeakyReLU(BatchNorm(conv(edges))). Shape: (B, N, C), (B, N, K) -> (B, N, D)."""
    edges = edge_tensor(x.transpose(1, 2), index)
    return F.leaky_relu(layer[1](layer[0](edges)), SLOPE).amax(dim=-1).transpose(1, 2)


def our_layer(layer: EdgeConv, x: Tensor, index: Tensor) -> Tensor:
    clouds = CloudRows([x.shape[1]] * len(x))
    return layer(x.flatten(0, 1), flat_index(index), clouds).unflatten(0, x.shape[:2])


def quantities(function, layer: EdgeConv, x: Tensor, index: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return output, gradients and running statistics of one call; bfloat16 means float32 under autocast."""
    real = torch.float32 if dtype == torch.bfloat16 else dtype
    layer, x = copy.deepcopy(layer).to(real), x.detach().to(real).requires_grad_()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        out = function(layer, x, index)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (out * direction.to(out)).sum().backward()
    found = {"output": out.detach(), "grad_x": x.grad}
    found |= {f"grad_{name}": parameter.grad for name, parameter in layer.named_parameters()}
    return found | {name: buffer for name, buffer in layer.named_buffers() if "running" in name}


def check_layers(args: argparse.Namespace, device: torch.device) -> list[Check]:
    """Check edge convolutions in train and eval mode, in every precision, near the origin and far from it."""
    checks = []
    for (channels, width), training, offset in itertools.product(LAYERS, (True, False), (0.0, 10.0)):
        layer = make_layer(channels, width, device).train(training)
        generator = torch.Generator().manual_seed(2)
        x = torch.randn(args.clouds, args.points, channels, generator=generator, dtype=torch.float64).to(device)
        index = nearest(x.transpose(1, 2), args.k)
        x = (x + offset).float().double()  # every precision sees the same numbers
        exact = quantities(published_layer, layer, x, index, torch.float64)
        name = f"edge_conv {channels}->{width} {'train' if training else 'eval'} offset {offset:g}"
        for dtype in (torch.float64, torch.float32) if offset else BOUNDS:
            ours = quantities(our_layer, layer, x, index, dtype)
            for quantity, value in ours.items():
                bound = (MOVED_BOUNDS if quantity in MOVED else BOUNDS)[dtype]
                checks.append(Check(name, str(dtype), quantity, relative(value, exact[quantity]), bound))
    return checks


def gradients(network: nn.Module, out: Tensor, name: str = "output") -> dict[str, Tensor]:
    """Return an output of a network, under `name`, and the gradients of its mean square."""
    out.square().mean().backward()
    return {name: out.detach()} | {key: p.grad for key, p in network.named_parameters() if p.grad is not None}


def check_network(args: argparse.Namespace, device: torch.device) -> list[Check]:
    """Check the whole DGCNN in float64."""
    torch.manual_seed(0)
    ours, published = DGCNN(args.k).double().to(device), PublishedDGCNN(args.k).double().to(device)
    published.load_state_dict(ours.state_dict())
    points = make_clouds(args.clouds, args.points, dropout=False).double().to(device)
    exact = gradients(published, published(points), "features")
    found = gradients(ours, ours(points), "features")
    return [Check("dgcnn", "torch.float64", key, relative(found[key], exact[key]), 1e-8) for key in exact]


def check_knn(args: argparse.Namespace, device: torch.device) -> list[Check]:
    """Check squared distances to the neighbours, far from the origin, against the smallest in float64."""
    checks = []
    for channels in (3, 64, 128):
        generator = torch.Generator().manual_seed(3)
        x = (torch.rand(args.clouds, args.points, channels, generator=generator) + 10).to(device)
        exact = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
        smallest = exact.topk(args.k, dim=-1, largest=False).values
        found = exact.gather(-1, knn(x, args.k)).sort(dim=-1).values
        checks.append(Check(f"knn {channels} channels", "torch.float32", "distances", relative(found, smallest), 1e-5))
    return checks


def judge(checks: list[Check], device: torch.device, json_file: Path | None) -> int:
    """Print and write the errors; return the exit status, 1 if one exceeds its bound."""
    if json_file:
        rows = [check._asdict() | {"is_right": check.is_right} for check in checks]
        write_text(json_file, json.dumps(rows, indent=1) + "\n")
    wrong = [check for check in checks if not check.is_right]
    for check in wrong:
        print(f"WRONG {check.name} {check.dtype} {check.quantity}: error {check.error:.1e}, bound {check.bound:.0e}")
    for dtype in dict.fromkeys(check.dtype for check in checks):
        worst = max((check for check in checks if check.dtype == dtype), key=lambda check: check.error / check.bound)
        print(f"{dtype}: nearest to its bound is {worst.name} {worst.quantity}, {worst.error:.1e} of {worst.bound:.0e}")
    print(f"{len(checks) - len(wrong)} of {len(checks)} within bounds on {device}")
    return 1 if wrong else 0


def main(args: argparse.Namespace) -> int:
    device = get_device(args.device)
    checks = [*check_layers(args, device), *check_network(args, device), *check_knn(args, device)]
    return judge(checks, device, args.json)


if __name__ == "__main__":
    run_main(main, parse_args())
