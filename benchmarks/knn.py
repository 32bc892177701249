"""Time the forms of exact neighbour search at several sizes, on this machine.

    python -m benchmarks.knn --record
    python -m benchmarks.knn --points 1024 2048 --channels 3 64 --k 20

Forms: our knn as it stands, one matrix product and topk over the whole batch, torch.cdist and topk, and on
a CPU SciPy's KD-tree for three channels. The neighbours of each are first checked against those found in float64. Forms
run in turns; figures are medians over the rounds.
"""

import argparse
import itertools
from collections.abc import Callable

import torch
from scipy.spatial import KDTree
from torch import Tensor

from benchmarks.harness.inputs import make_clouds
from benchmarks.harness.records import Figure, Recorder, add_output_args, setting_text
from benchmarks.harness.timing import in_turns
from benchmarks.published.published_dgcnn import nearest
from models.layers.neighbours import knn
from utils.cli import run_main
from utils.flags import add_device_arg, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

Search = Callable[[Tensor, int], Tensor]


def by_matmul(x: Tensor, k: int) -> Tensor:
    """Search as the published code does. Shape: (B, N, C) -> (B, N, K), like all forms."""
    return nearest(x.transpose(1, 2), k)


def by_cdist(x: Tensor, k: int) -> Tensor:
    return torch.cdist(x, x).topk(k, dim=-1, largest=False).indices


def by_tree(x: Tensor, k: int) -> Tensor:
    clouds = x.numpy()
    found = [KDTree(cloud).query(cloud, k, workers=torch.get_num_threads())[1] for cloud in clouds]
    return torch.stack([torch.from_numpy(index) for index in found])


def forms(channels: int, device: torch.device) -> dict[str, Search]:
    """Return the applicable forms by name."""
    found: dict[str, Search] = {"ours": knn, "matmul": by_matmul, "cdist": by_cdist}
    return found | ({"KD-tree": by_tree} if channels == 3 and device.type == "cpu" else {})


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[512, 1024, 2048, 4096], help="a cloud")
    parser.add_argument("--channels", type=int, nargs="+", default=[3, 64, 128], help="3: coordinates, else features")
    parser.add_argument("--k", type=int, nargs="+", default=[15, 20, 40], help="neighbours per point")
    parser.add_argument("--clouds", type=int, default=8, help="a batch")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each form")
    add_device_arg(parser)
    add_output_args(parser)
    return parser.parse_args(argv)


def make_batch(num_clouds: int, num_points: int, channels: int) -> Tensor:
    """Make coordinates in the unit sphere, or features of them by a fixed random network. Shape: (B, N, C)."""
    points = make_clouds(num_clouds, num_points, dropout=False)
    if channels == 3:
        return points
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(shape, generator=generator) for shape in ((3, 64), (64, channels)))
    return torch.relu(points @ first) @ second / 8


def check_nearest(x: Tensor, k: int, index: Tensor, name: str) -> None:
    """Compare the distances of the neighbours with the k smallest in float64.

    Raises:
        ValueError: they differ by more than float32 rounding.
    """
    for cloud, found in zip(x.double(), index):
        exact = torch.cdist(cloud, cloud).square()  # (N, N)
        smallest = exact.topk(k, dim=-1, largest=False).values
        error = (exact.gather(-1, found).sort(dim=-1).values - smallest).abs().max()
        if error > 1e-5 * cloud.square().sum(dim=-1).max():  # |x|^2 - 2xy + |y|^2 is rounded at this size
            raise ValueError(f"{name} does not return the {k} nearest points: nothing to compare")


def compare(num_points: int, channels: int, k: int, args: argparse.Namespace, device: torch.device) -> list[Figure]:
    """Time each form, in milliseconds."""
    x = make_batch(args.clouds, num_points, channels).to(device)
    searches = forms(channels, device)
    for name, search in searches.items():
        check_nearest(x, k, search(x, k), name)
    calls = {name: lambda search=search: search(x, k) for name, search in searches.items()}
    times = in_turns(calls, args.rounds, device)
    setting = setting_text(B=args.clouds, N=num_points, C=channels, k=k)
    return [Figure(setting, name, "search", 1e3 * value, "ms", args.rounds) for name, value in times.items()]


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "clouds", "rounds")
    if min(*args.points, *args.channels, *args.k) < 1:
        raise ValueError("--points, --channels and --k must be at least 1")
    if max(args.k) > min(args.points):
        raise ValueError(f"--k {max(args.k)}: a cloud of --points {min(args.points)} has fewer neighbours")
    device = get_device(args.device)
    keep_freed_memory(device)
    recorder = Recorder(args, "knn", device)
    for num_points, channels, k in itertools.product(args.points, args.channels, args.k):
        figures = compare(num_points, channels, k, args, device)
        recorder.add(figures)
        print(f"  fastest: {min(figures, key=lambda figure: figure.value).side}", flush=True)


if __name__ == "__main__":
    run_main(main, parse_args())
