"""One step of multi-view pre-training: the point encoder alone, ours with the teacher's features cached, as published.

    python -m benchmarks.multiview_step --record

A step reads its items, then runs forward and backward. "encoder" is our point encoder on the same clouds, without
reading, heads or losses: the least that any pre-training costs. "ours" reads items from a tree with pairs and from a
cache of the teacher's features; "published" parses text and runs the teacher. Shapes are random points of spheres, as
many pairs a view as are seen of one.
"""

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from benchmarks.harness.records import Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import in_turns
from benchmarks.published.published_multiview import PublishedMultiView, read_shape, write_shape
from datasets.pairs.multiview_items import MultiViewItems
from datasets.pairs.pixel_pairs import PixelPairs
from models.encoders.multiview_resnet import MultiViewResNet
from models.encoders.registry import build_encoder
from models.methods.multiview import MultiView
from utils.cli import run_main
from utils.flags import add_device_arg, program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

MAP_SIZE = 32


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--shapes", type=int, default=32, help="of a step")
    parser.add_argument("--points", type=int, default=1024, help="of a cloud")
    parser.add_argument("--views", type=int, default=12, help="of a shape, 32 x 32 pixels")
    parser.add_argument("--pairs", type=int, default=512, help="contrasted of each shape")
    parser.add_argument("--depth", type=int, default=50, help="of the teacher: 18, 34 or 50")
    parser.add_argument("--k", type=int, default=20, help="neighbours per point")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds")
    parser.add_argument("--skip_published", action="store_true", help="leave that side out: it takes a minute a step")
    add_device_arg(parser)
    add_output_args(parser)
    return parser.parse_args(argv)


def make_shape(num_points: int, num_views: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw points of a sphere and, per view, (row, column, point) of those on the side that is seen."""
    points = rng.standard_normal((num_points, 3))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    pairs = []
    for _ in range(num_views):
        axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        seen = np.flatnonzero(points @ axes[2] > 0)
        cell = ((points[seen] @ axes[:2].T) * 0.49 + 0.5) * MAP_SIZE
        pairs.append(np.column_stack([cell.astype(np.int64), seen]))
    return points, pairs


class MadeShapes:
    """Stands for a tree of shapes: clouds and tables of pairs in memory, read by index."""

    def __init__(self, shapes: list[tuple[np.ndarray, list[np.ndarray]]]):
        self.shapes = shapes
        self.tables = [
            PixelPairs.of_views([(rows[:, 2], (rows[:, :2] + 0.5) / MAP_SIZE) for rows in pairs]) for _, pairs in shapes
        ]

    def __len__(self) -> int:
        return len(self.shapes)

    def files(self, index: int) -> str:
        """Name an item."""
        return f"made shape {index}"

    cloud_name = files

    def read_points(self, index: int) -> np.ndarray:
        """Return a cloud."""
        return self.shapes[index][0]

    def read_pixel_pairs(self, index: int) -> PixelPairs:
        """Return a table of pairs."""
        return self.tables[index]


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "views", "k", "rounds")
    require_at_least(2, args, "shapes", "pairs")
    require_at_least(args.k, args, "points")
    device = get_device(args.device)
    keep_freed_memory(device)
    recorder = Recorder(args, "multiview_step", device)
    rng = np.random.default_rng(0)
    shapes = [make_shape(args.points, args.views, rng) for _ in range(args.shapes)]
    torch.manual_seed(0)
    teacher = MultiViewResNet(args.depth)
    side = (args.shapes, args.views, teacher.map_dim, 4, 4)
    with tempfile.TemporaryDirectory() as folder:
        maps = np.lib.format.open_memmap(f"{folder}/maps.npy", "w+", np.float16, side)  # read from a file, as ours is
        maps[:] = rng.standard_normal(side, dtype=np.float32)
        target = rng.standard_normal((args.shapes, teacher.embedding_dim), dtype=np.float32)
        targets = SimpleNamespace(
            features=lambda index: (np.array(maps[index]), target[index]), rank=lambda index: None
        )
        sizes = {"num_points": args.points, "num_views": args.views, "num_pairs": args.pairs}
        items = MultiViewItems(MadeShapes(shapes), targets, **sizes)
        encoder = build_encoder("dgcnn", args.k).to(device).train()
        method = MultiView(build_encoder("dgcnn", args.k), teacher.map_dim).to(device).train()
        clouds = torch.from_numpy(np.stack([points for points, _ in shapes])).to(device)

        def run_encoder() -> None:
            encoder(clouds).square().mean().backward()

        def run_ours() -> None:
            batch = torch.utils.data.default_collate([items[index] for index in range(args.shapes)])
            terms = method({name: rows.to(device) for name, rows in batch.items()})
            torch.stack(list(terms.values())).sum().backward()

        tasks = {"encoder": run_encoder, "ours": run_ours}
        if not args.skip_published:
            places = [Path(folder) / str(number) for number in range(args.shapes)]
            for place, (points, pairs) in zip(places, shapes, strict=True):
                write_shape(place, points, pairs, MAP_SIZE, rng)
            published = PublishedMultiView(teacher, args.k).to(device)

            def run_published() -> None:
                read = [read_shape(place, args.views, args.pairs, rng) for place in places]
                published(*(torch.stack(rows).to(device) for rows in zip(*read, strict=True))).backward()

            tasks["published"] = run_published
        seconds = in_turns(tasks, args.rounds, device)
    setting = setting_text(
        B=args.shapes, N=args.points, V=args.views, P=args.pairs, k=args.k, teacher=f"resnet{args.depth}"
    )
    recorder.add(figures_of(setting, "step", "s", seconds, args.rounds))
    for name in tasks.keys() - {"ours"}:
        print(f"ours / {name}: {seconds['ours'] / seconds[name]:.3f}")


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
