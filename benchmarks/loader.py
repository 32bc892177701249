"""Loading of pre-training pairs: ours against the published per-item path, in one process and one run.

    python -m data.pack data/shapes
    python -m benchmarks.loader --data_root data/shapes --packed data/shapes/shapenet_render.h5 --json loader.json

Batches of random items are loaded in turns; figures are medians of the rounds in milliseconds of processor time of one
core, which other programs on the machine disturb little:

    published   benchmarks/published/published_loader.py on the trees
    tree        our items from the trees
    packed      the same items from the packed file
    device      a loader process's part of the work when the device augments, from the packed file
    decoded     cloud and decoded view from the packed file, nothing else

The augmentation of such a batch on --device is measured apart: there it takes turns with the training step and is no
part of the loader's time.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from benchmarks.harness.records import Figure, Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import medians, wall_clock
from benchmarks.published.published_loader import PublishedRender
from datasets.layouts import PACKED
from datasets.pairs.packed_render import PackedRender
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.batch_augment import BatchAugment
from datasets.transforms.point_transforms import augmented_pair
from utils.cli import run_main
from utils.flags import add_device_arg, program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

BASE = "published"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--data_root", type=Path, default=Path("data/shapes"), help="folder of the trees")
    parser.add_argument("--packed", type=Path, help=f"their packed file (default: DATA_ROOT/{PACKED})")
    parser.add_argument("--image_size", type=int, default=224, help="pixels, square")
    parser.add_argument("--batch_size", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15, help="batches of each kind")
    add_device_arg(parser)
    add_output_args(parser)
    args = parser.parse_args(argv)
    require_at_least(1, args, "image_size", "batch_size", "rounds")
    return args


class Decoded(Dataset):
    """Clouds and one view each of a packed file, as they are stored."""

    def __init__(self, pairs: PackedRender):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, torch.Tensor]:
        view = index % self.pairs.num_views(index)
        return self.pairs.read_points(index), self.pairs.read_pixels(index, view)


def open_all(args: argparse.Namespace) -> dict[str, Dataset]:
    """Open the data set of each kind of loading, the published code's first.

    Raises:
        ValueError: the packed file holds other data than the trees.
    """
    packed = args.packed or args.data_root / PACKED
    size = {"image_size": args.image_size}
    trees, file = ShapeNetRender(args.data_root, **size), PackedRender(packed, **size)
    for index in np.linspace(0, len(trees) - 1, 5).astype(int).tolist():
        if len(trees) != len(file) or not _equal(trees[index], file[index]):
            raise ValueError(f"{packed} is of other data than {args.data_root}; pack it again: python -m data.pack")
    raw = PackedRender(packed, augment=False, **size)
    published = PublishedRender(args.data_root, args.image_size)
    return {BASE: published, "tree": trees, "packed": file, "device": raw, "decoded": Decoded(raw)}


def _equal(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in ("aug_a", "aug_b", "image"))


def fetch(dataset: Dataset, indices: list[int]) -> list:
    """Fetch the items of a batch in the way a DataLoader does."""
    return dataset.__getitems__(indices) if hasattr(dataset, "__getitems__") else [dataset[i] for i in indices]


def time_loading(sets: dict[str, Dataset], batch_size: int, rounds: int) -> dict[str, float]:
    """Measure milliseconds of one core for an item of each kind, collated; all kinds load the same random items."""

    def loads(dataset: Dataset) -> Iterator[object]:
        rng = np.random.default_rng(0)
        while True:
            yield default_collate(fetch(dataset, rng.integers(len(sets[BASE]), size=batch_size).tolist()))

    tasks = {name: partial(next, loads(dataset)) for name, dataset in sets.items()}
    return {name: 1e3 * value / batch_size for name, value in medians(tasks, rounds, time.process_time).items()}


def time_augmentation(dataset: Dataset, args: argparse.Namespace, device: torch.device) -> float:
    """Measure milliseconds of the device for an item of a batch that lies there; of one core on a CPU."""
    batch = default_collate(fetch(dataset, [index % len(dataset) for index in range(args.batch_size)]))
    batch = {name: value.to(device) for name, value in batch.items()}
    augment = BatchAugment(augmented_pair(), args.image_size, seed=0)
    steps = itertools.count()
    tasks = {"augment": lambda: augment(batch, 0, next(steps))}
    clock = time.process_time if device.type == "cpu" else partial(wall_clock, device)
    return 1e3 * medians(tasks, args.rounds, clock)["augment"] / args.batch_size


def main(args: argparse.Namespace) -> None:
    device = get_device(args.device)
    keep_freed_memory(device)
    torch.set_num_threads(1)  # as in a loader process
    sets, recorder = open_all(args), Recorder(args, "loader", device)
    times = time_loading(sets, args.batch_size, args.rounds)
    on_device = time_augmentation(sets["device"], args, device)
    setting = setting_text(data=args.data_root.name, views=args.image_size, batch=args.batch_size)
    recorder.add(figures_of(setting, "load an item", "ms", times, args.rounds))
    recorder.add([Figure(setting, device.type, "augment an item of a batch", on_device, "ms", args.rounds)])
    for name, ms in times.items():
        print(f"{name:10} {1e3 / ms:7.0f} items/s a core {times[BASE] / ms:8.2f}x")


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
