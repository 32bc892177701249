"""Point towers against their published formulation: the search for groups, and a training step of each.

    python -m benchmarks.point_towers --record
    python -m benchmarks.point_towers --quick

"grouping" takes 512 farthest points of each cloud and the first 32 points of the ball of radius 0.2 around each.
Published: a loop that updates distances through a mask, a matrix of all distances, a full sort of numbers
(benchmarks/published/published_towers.py). A step is forward and backward in train mode, with the same weights and
clouds. Both sides first show that they compute the same.
"""

import argparse

import torch
from torch import Tensor, nn

from benchmarks.harness.inputs import make_clouds, parse_size
from benchmarks.harness.records import Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import in_turns
from benchmarks.published import published_towers as published
from models.encoders.pointmlp import ANCHORS
from models.encoders.pointnet2 import STAGES
from models.encoders.registry import build_encoder
from models.layers.farthest_points import farthest_order
from models.layers.grouping import ball_query, gather
from utils.cli import run_main
from utils.flags import add_device_arg, program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

TOWERS = {
    "pointnet2": lambda: published.PublishedPointNet2(STAGES),
    "pointmlp": lambda: published.PublishedPointMLP(ANCHORS),
    "pointnext": published.PublishedPointNeXt,
    "pointbert": lambda: published.PublishedPointBERT(64),
}
CENTRES, RADIUS, MEMBERS = STAGES[0]
EQUAL_SHARE = 0.999  # of numbers: rounding decides about points on the surface of a ball
DEVIATION = 1e-2  # of features: one such point may be a maximum


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--grouping", default="32x8192", help="clouds x points whose groups are searched")
    parser.add_argument("--step", default="4x1024", help="clouds x points of a training step")
    parser.add_argument("--towers", nargs="+", choices=tuple(TOWERS), default=tuple(TOWERS))
    parser.add_argument("--rounds", type=int, default=1, help="timed rounds, after one that is not")
    parser.add_argument("--quick", action="store_true", help="sizes that take seconds, in place of those above")
    add_device_arg(parser)
    add_output_args(parser)
    return parser.parse_args(argv)


def published_groups(points: Tensor) -> Tensor:
    """Search groups as published. Shape: (B, N, 3) -> (B, 512, 32)."""
    start = torch.zeros(len(points), dtype=torch.long, device=points.device)
    chosen = published.farthest_point_sample(points, CENTRES, start)
    return published.query_ball_point(RADIUS, MEMBERS, points, published.index_points(points, chosen))


def our_groups(points: Tensor) -> Tensor:
    """Search groups as the encoders do. Shape: (B, N, 3) -> (B, 512, 32)."""
    return ball_query(points, gather(points, farthest_order(points, CENTRES)), RADIUS, MEMBERS)


def check_groups(ours: Tensor, theirs: Tensor) -> None:
    """Refuse groups that differ in more than rounding explains.

    Raises:
        ValueError: fewer than EQUAL_SHARE of the numbers are equal.
    """
    share = (ours == theirs).float().mean().item()
    if share < EQUAL_SHARE:
        raise ValueError(f"only {share:.1%} of the members of groups are those of the published search")


def tower_pair(name: str, points: Tensor) -> tuple[nn.Module, nn.Module]:
    """Build an encoder and the published one of the same weights, in train mode, after a check of their features.

    Raises:
        ValueError: features differ by more than DEVIATION of their length.
    """
    torch.manual_seed(0)
    ours, theirs = build_encoder(name).to(points.device), TOWERS[name]().to(points.device)
    theirs.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        expected = theirs.eval()(points)
        deviation = ((ours.eval()(points) - expected).norm() / expected.norm()).item()
    if not deviation <= DEVIATION:
        raise ValueError(f"features of {name} deviate by {deviation:.1e} from those of the published formulation")
    return ours.train(), theirs.train()


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "rounds")
    device = get_device(args.device)
    keep_freed_memory(device)
    grouping, step = map(parse_size, ("2x1024", "2x600") if args.quick else (args.grouping, args.step))
    for name, (_, num_points) in (("grouping", grouping), ("step", step)):
        if num_points < CENTRES:
            raise ValueError(f"--{name}: clouds of {num_points} points, expected at least the {CENTRES} centres")
    recorder = Recorder(args, "point_towers", device)

    points = make_clouds(*grouping, dropout=False).to(device)
    check_groups(our_groups(points), published_groups(points))
    sides = {"published": lambda: published_groups(points), "ours": lambda: our_groups(points)}
    setting = setting_text(part="grouping", B=grouping[0], N=grouping[1])
    recorder.add(figures_of(setting, "time", "s", in_turns(sides, args.rounds, device), args.rounds))

    points = make_clouds(*step, dropout=False).to(device)
    for name in args.towers:
        ours, theirs = tower_pair(name, points)
        networks = {"published": theirs, "ours": ours}
        tasks = {side: lambda net=net: net(points).square().mean().backward() for side, net in networks.items()}
        setting = setting_text(part=name, B=step[0], N=step[1])
        recorder.add(figures_of(setting, "time", "s", in_turns(tasks, args.rounds, device), args.rounds))


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
