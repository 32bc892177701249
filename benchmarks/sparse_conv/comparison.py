"""Sparse convolution, forward and backward, against a plain gather and scatter with the same weights.

    python -m benchmarks.sparse_conv --record
    python -m benchmarks.sparse_conv --dtype bf16 --record
    python -m benchmarks.sparse_conv --quick

The voxels are those of the surfaces of a room, 5 cm. Both sides first show that they compute the same function and
gradients, to the rounding of the type, then run in turns in one process. On a CPU times are those of its cores, which
other programs on the machine change little; on CUDA of the wall. The matrix products of either side are timed alone,
too: no arrangement of them saves those. Memory is what a side keeps for its backward pass beyond input and weights. A
kernel map is made once for all layers of a scene.
"""

import argparse
import time

import torch
from torch import Tensor

from benchmarks.harness.records import Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import medians, wall_clock
from benchmarks.sparse_conv.gather_scatter import gather_scatter, pairs_of
from benchmarks.sparse_conv.room_surface import room_voxels
from models.sparse.kernel_map import MapPair
from models.sparse.sparse_conv import convolve
from models.sparse.voxel_level import VoxelLevel
from utils.flags import add_device_arg, program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

SIZE = 3
SIDES = {"gather-scatter": (pairs_of, gather_scatter), "ours": (VoxelLevel.neighbours, convolve)}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
DEVIATION = {torch.float32: 1e-5, torch.bfloat16: 0.02}  # relative; the plain side adds in its own type


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--voxels", type=int, default=18_000, help="of the room")
    parser.add_argument("--channels", type=int, default=64, help="in and out")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="fp32", help="of features and weights")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds, after one that is not")
    parser.add_argument("--quick", action="store_true", help="2,000 voxels of 16 channels, in place of those above")
    add_device_arg(parser)
    add_output_args(parser)
    return parser.parse_args(argv)


def forward(side: str, x: Tensor, kernel: Tensor, maps: object) -> Tensor:
    return SIDES[side][1](x, kernel, maps)


def step(side: str, x: Tensor, kernel: Tensor, maps: object, grad: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of input and kernel for a gradient of the output."""
    out = forward(side, x, kernel, maps)
    return [out.detach(), *torch.autograd.grad(out, (x, kernel), grad)]


def products(side: str, x: Tensor, kernel: Tensor, maps: object) -> None:
    """Make the matrix products of a forward pass alone, on rows that lie in order."""
    if side == "ours":
        sizes = [(len(block.rows), block.offsets) for block in maps.forward.blocks]
        factors = [(size, kernel.index_select(0, offsets).flatten(0, 1)) for size, offsets in sizes]
    else:
        factors = [(len(inputs), weight) for (inputs, _), weight in zip(maps, kernel, strict=True)]
    rows = x.new_ones(max(size * len(weight) for size, weight in factors))
    for size, weight in factors:
        rows[: size * len(weight)].view(size, -1) @ weight


def check_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    """Refuse sides that differ by more than the rounding of their type.

    Raises:
        ValueError: names the output or the gradient.
    """
    for name, mine, other in zip(("output", "gradient of the input", "gradient of the kernel"), found, expected):
        deviation = ((mine - other).float().norm() / other.float().norm()).item()
        if not deviation <= DEVIATION[other.dtype]:
            raise ValueError(f"the {name} of the sides deviates by {deviation:.1e}: nothing to compare")


def make_inputs(args: argparse.Namespace, device: torch.device) -> tuple[VoxelLevel, Tensor, Tensor, Tensor]:
    """Make voxels, their features, a kernel, and a gradient of the output, the same at every call."""
    level = room_voxels(args.voxels)
    generator = torch.Generator().manual_seed(0)
    shapes = ((args.voxels, args.channels), (SIZE**3, args.channels, args.channels), (args.voxels, args.channels))
    x, kernel, grad = (torch.randn(shape, generator=generator).to(device, DTYPES[args.dtype]) for shape in shapes)
    return VoxelLevel(level.keys.to(device), level.clouds), x.requires_grad_(), kernel.requires_grad_(), grad


def kept_bytes(side: str, x: Tensor, kernel: Tensor, maps: object) -> int:
    """Return the bytes that autograd keeps between forward and backward, beyond input, weights and map."""
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = forward(side, x, kernel, maps)
    del out
    for tensor in (x, kernel, *_tensors_of(maps)):
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(kept.values())


def map_bytes(maps: object) -> int:
    """Return the memory of a map, and of its way back, which is itself for stride 1."""
    return sum(tensor.nbytes for tensor in _tensors_of(maps))


def _tensors_of(maps: object) -> list[Tensor]:
    if isinstance(maps, MapPair):
        return [tensor for block in maps.forward.blocks for tensor in (block.rows, block.index)]
    return [tensor for pair in maps for tensor in pair]


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "rounds", "channels")
    require_at_least(100, args, "voxels")
    if args.quick:
        args.voxels, args.channels = 2000, 16
    device = get_device(args.device)
    keep_freed_memory(device)
    recorder = Recorder(args, "sparse_conv", device)
    level, x, kernel, grad = make_inputs(args, device)
    maps = {side: make(level, SIZE) for side, (make, _) in SIDES.items()}
    check_equal(*(step(side, x, kernel, maps[side], grad) for side in ("ours", "gather-scatter")))

    pairs = sum(len(inputs) for inputs, _ in maps["gather-scatter"])
    setting = setting_text(
        voxels=args.voxels, channels=args.channels, dtype=args.dtype, pairs=f"{pairs / args.voxels:.1f}"
    )
    clock = time.process_time if device.type == "cpu" else lambda: wall_clock(device)
    tasks = {
        "kernel map": lambda side: SIDES[side][0](VoxelLevel(level.keys, level.clouds), SIZE),
        "forward": lambda side: forward(side, x.detach(), kernel.detach(), maps[side]),
        "products of the forward pass alone": lambda side: products(side, x.detach(), kernel.detach(), maps[side]),
        "forward and backward": lambda side: step(side, x, kernel, maps[side], grad),
    }
    figures = []
    for name, task in tasks.items():
        calls = {side: lambda side=side, task=task: task(side) for side in SIDES}
        times = {side: 1e3 * value for side, value in medians(calls, args.rounds, clock).items()}
        figures += figures_of(setting, name, "ms", times, args.rounds)
    kept = {side: kept_bytes(side, x, kernel, maps[side]) / args.voxels for side in SIDES}
    figures += figures_of(setting, "kept for backward, each voxel", "B", kept)
    sizes = {side: map_bytes(maps[side]) / args.voxels for side in SIDES}
    recorder.add(figures + figures_of(setting, "kernel map, each voxel", "B", sizes))
