"""Time the CUDA forms of neighbour search and edge convolution, to choose the constants of models/kernels.

    python -m benchmarks.gpu.gpu_kernels --device cuda --json kernels.json

On a CPU, where triton's kernels do not run, only the forms made of torch operations are timed, for the tests.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.harness.timing import in_turns
from models import kernels
from models.kernels import knn
from models.layers.edge_moments import edge_moments
from models.rows import CloudRows, Edges
from utils.cli import run_main
from utils.files import write_text
from utils.flags import add_device_arg, require_at_least
from utils.processes.device import get_device

Row = dict[str, object]
BLOCKS = ((16, 64, 4), (32, 64, 2), (32, 64, 4), (32, 128, 4), (64, 64, 8))
WARPS = (2, 4, 8)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clouds", type=int, default=40, help="a batch")
    parser.add_argument("--points", type=int, nargs="+", default=[1024, 2048, 4096], help="of a cloud")
    parser.add_argument("--channels", type=int, nargs="+", default=[3, 64, 128], help="of a point")
    parser.add_argument("--k", type=int, nargs="+", default=[15, 20, 40], help="neighbours per point")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256], help="channels of the edge convolutions")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each form")
    add_device_arg(parser)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args(argv)


def make_features(args: argparse.Namespace, num_points: int, channels: int, device: torch.device) -> Tensor:
    """Embed clouds of a sphere's surface in `channels` dimensions, centred. Shape: (B, N, C)."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(args.clouds, num_points, 3, generator=generator)
    points = points / points.norm(dim=-1, keepdim=True)
    if channels != 3:
        points = torch.relu(points @ torch.randn(3, channels, generator=generator))
    return (points - points.mean(dim=1, keepdim=True)).to(device)


def search_forms(can_run: bool) -> dict[str, Callable[[Tensor, int], Tensor]]:
    """Return every form that runs here; the tiled one also with three TF32 products in place of one in float32."""
    if not can_run:
        return {name: form for name, form in knn.FORMS.items() if name != "tiled"}
    from models.kernels.knn_tiled import nearest_tiled

    return knn.FORMS | {"tiled tf32x3": lambda x, k: nearest_tiled(x, k, "tf32x3")}


def excess(x: Tensor, index: Tensor, k: int) -> float:
    """Return how much farther the first cloud's neighbours are than the nearest ones, relative, in float64."""
    cloud = x[0].double()
    exact = torch.cdist(cloud, cloud, compute_mode="donot_use_mm_for_euclid_dist")
    smallest = exact.topk(k, dim=-1, largest=False).values
    return ((exact.gather(1, index[0]).sum() - smallest.sum()) / smallest.sum()).item() if k > 1 else 0.0


def time_searches(args: argparse.Namespace, device: torch.device, can_run: bool) -> Iterator[Row]:
    """Time every form at every size, and measure the excess of its distances."""
    forms = search_forms(can_run)
    for num_points, channels, k in itertools.product(args.points, args.channels, args.k):
        x = make_features(args, num_points, channels, device)
        calls = {name: partial(form, x, k) for name, form in forms.items()}
        setting = {"table": "knn", "clouds": args.clouds, "points": num_points, "channels": channels, "k": k}
        for name, value in in_turns(calls, args.rounds, device).items():
            yield setting | {"form": name, "ms": 1e3 * value, "excess": excess(x, forms[name](x, k), k)}


def time_blocks(args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Time the tiled search with other blocks."""
    from models.kernels.knn_tiled import Blocks, nearest_tiled

    num_points, k = args.points[len(args.points) // 2], args.k[len(args.k) // 2]
    for channels in args.channels:
        x = make_features(args, num_points, channels, device)
        blocks = [Blocks(*block) for block in BLOCKS]
        calls = {str(tuple(block)): partial(nearest_tiled, x, k, block=block) for block in blocks}
        setting = {"table": "knn blocks (rows, columns, warps)", "points": num_points, "channels": channels, "k": k}
        yield from (
            setting | {"form": name, "ms": 1e3 * value} for name, value in in_turns(calls, args.rounds, device).items()
        )


def time_edge_conv(args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Time the parts of an edge convolution, with other numbers of warps in a program.

    "max" is the convolution with BatchNorm folded into its weights; "moments", of half as many channels, supply the
    statistics for that. Both backward passes share one "sort" of the edges.
    """
    from models.kernels import tiles
    from models.kernels.max_act import max_act

    num_points, k = args.points[len(args.points) // 2], args.k[len(args.k) // 2]
    start = torch.arange(args.clouds, device=device)[:, None, None] * num_points
    edges = Edges((knn.nearest(make_features(args, num_points, 3, device), k) + start).flatten(0, 1))
    rows, clouds = len(edges.index), CloudRows([num_points] * args.clouds)

    def moments(x: torch.Tensor) -> torch.Tensor:
        return edge_moments(x, x.new_zeros(args.clouds, x.shape[1]), edges, clouds).second

    for width, dtype, warps in itertools.product(args.widths, (torch.float32, torch.bfloat16), WARPS):
        u, v = torch.randn(2, rows, width, device=device)
        u, v = u.to(dtype).requires_grad_(), v.requires_grad_()
        x = torch.randn(rows, width // 2, device=device, requires_grad=True)
        calls = {"sort": lambda: Edges(edges.index).by_neighbour}
        with patch.object(tiles, "WARPS", warps):
            for name, forward, inputs in (
                ("max", lambda u, v: max_act(u, v, edges, torch.float32), (u, v)),
                ("moments", moments, (x,)),
            ):
                out = forward(*inputs)
                calls[f"{name} forward"] = partial(forward, *inputs)
                calls[f"{name} backward"] = partial(
                    torch.autograd.grad, out, inputs, torch.randn_like(out), retain_graph=True
                )
            times = in_turns(calls, args.rounds, device)
        setting = {"table": "edge_conv", "rows": rows, "k": k, "width": width, "dtype": str(dtype)}
        yield from (setting | {"warps": warps, "form": name, "ms": 1e3 * value} for name, value in times.items())


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "clouds", "rounds")
    if min(*args.points, *args.channels, *args.k, *args.widths) < 1 or max(args.k) > min(args.points):
        raise ValueError("--points, --channels, --k and --widths must be at least 1, and --k at most --points")
    device = get_device(args.device)
    can_run = kernels.can_run(torch.empty(0, device=device))
    tables = [time_searches(args, device, can_run)]
    tables += [time_blocks(args, device), time_edge_conv(args, device)] if can_run else []
    rows: list[Row] = []
    for row in itertools.chain(*tables):
        rows.append(row)
        print(" ".join(f"{key}={f'{x:.3g}' if isinstance(x, float) else x}" for key, x in row.items()), flush=True)
        if args.json:
            write_text(args.json, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    run_main(main, parse_args())
