"""Training step on augmented clouds: copies of point 0 computed once and counted, or each on its own.

    python -m benchmarks.copies --record

Both sides are our DGCNN with the same weights on the same augmented clouds; the program first checks that they compute
the same function. A training step is forward and backward; sides are timed in turns, figures are medians of the rounds.
"""

import argparse
from unittest import mock

import torch
from torch import Tensor

from benchmarks.harness.inputs import make_clouds, parse_size
from benchmarks.harness.records import Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import in_turns
from benchmarks.step import check_equal, training_step
from models.encoders.dgcnn import DGCNN
from models.rows import dense_rows
from utils.cli import run_main
from utils.flags import program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory


class EveryPoint(DGCNN):
    """DGCNN that treats a copy like any other point."""

    def forward(self, points: Tensor) -> Tensor:
        with mock.patch("models.encoders.dgcnn.merge_copies", lambda points, _: dense_rows(points)):
            return super().forward(points)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
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
        milliseconds = {side: 1e3 * seconds for side, seconds in times.items()}
        recorder.add(figures_of(setting, "training step", "ms", milliseconds, args.rounds))


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
