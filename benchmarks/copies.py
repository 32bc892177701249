"""Copies of point 0, which the augmentation makes, computed once with their number or each on its own.

    python -m benchmarks.copies --record

Both sides are our DGCNN with the same weights on the same augmented clouds, and first show that they compute the same
function. Times of a training step (forward and backward) are taken in turns, medians of the rounds.
"""

import argparse
from unittest import mock

import torch
from torch import Tensor

from benchmarks.harness.inputs import make_clouds, parse_size
from benchmarks.harness.records import Figure, Recorder, add_output_args, setting_text
from benchmarks.harness.timing import in_turns
from benchmarks.step import check_equal, training_step
from models.encoders.dgcnn import DGCNN
from models.rows import dense_rows
from utils.cli import run_main
from utils.flags import require_at_least
from utils.processes.allocator import keep_freed_memory


class EveryPoint(DGCNN):
    """DGCNN for which a copy is a point like any other."""

    def forward(self, points: Tensor) -> Tensor:
        with mock.patch("models.encoders.dgcnn.merge_copies", dense_rows):
            return super().forward(points)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["64x384", "16x1024", "16x2048"], metavar="CLOUDSxPOINTS")
    parser.add_argument("--k", type=int, default=15, help="neighbours per point")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each side")
    add_output_args(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "k", "rounds")
    device = torch.device("cpu")  # copies are merged there only
    keep_freed_memory(device)
    recorder = Recorder(args, "copies", device)
    for clouds, points in map(parse_size, args.sizes):
        batch = make_clouds(clouds, points, dropout=True)
        once = DGCNN(args.k)
        each = EveryPoint(args.k)
        each.load_state_dict(once.state_dict())
        check_equal({"published": each, "ours": once}, batch)
        calls = {
            side: lambda encoder=encoder, batch=batch: training_step(encoder, batch)
            for side, encoder in {"each": each, "once": once}.items()
        }
        times = in_turns(calls, args.rounds, device)
        setting = setting_text(B=clouds, N=points, k=args.k)
        recorder.add(
            Figure(setting, side, "training step", 1e3 * seconds, "ms", args.rounds) for side, seconds in times.items()
        )


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
