"""Loading of pre-training pairs: ours against the published per-item path, in one process and one run.

    python -m data.pack data/shapes
    python -m benchmarks.loader --data_root data/shapes --packed data/shapes/shapenet_render.h5 --json loader.json

Random items in batches, timed A B A B ..., medians of the rounds in milliseconds of one core (other programs on the
machine then disturb little):

    published   benchmarks/published/published_loader.py on the trees
    tree        our items from the trees
    packed      the same items from the packed file
    device      from the packed file, augmentation left to the device: what a loader process does for it
    decoded     cloud and decoded view from the packed file, nothing else

Beside them the augmentation of such a batch on --device. There it takes its turn with the training step, so it is no
part of the loader's time.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from benchmarks.harness.records import Figure, Recorder, add_output_args, setting_text
from benchmarks.published.published_loader import PublishedRender
from datasets.layouts import PACKED
from datasets.pairs.packed_render import PackedRender
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.batch_augment import BatchAugment
from datasets.transforms.point_transforms import augmented_pair
from utils.cli import run_main
from utils.flags import require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

BASE = "published"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_root", type=Path, default=Path("data/shapes"), help="folder of the trees")
    parser.add_argument("--packed", type=Path, help=f"their packed file (default: DATA_ROOT/{PACKED})")
    parser.add_argument("--image_size", type=int, default=224, help="pixels, square")
    parser.add_argument("--batch_size", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15, help="batches of each kind")
    parser.add_argument("--device", default="auto", help="that augments batches: auto, cpu, cuda or cuda:N")
    add_output_args(parser)
    args = parser.parse_args(argv)
    require_at_least(1, args, "image_size", "batch_size", "rounds")
    return args


class Decoded(Dataset):
    """Cloud and one view of a packed file as they are stored."""

    def __init__(self, pairs: PackedRender):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, torch.Tensor]:
        view = index % self.pairs.num_views(index)
        return self.pairs.read_points(index), self.pairs.read_pixels(index, view)


def open_all(args: argparse.Namespace) -> dict[str, Dataset]:
    """The data set of each kind of loading, that of the published code first.

    Raises:
        ValueError: the packed file does not hold the same as the trees.
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
    """The items of a batch as a DataLoader asks for them."""
    return dataset.__getitems__(indices) if hasattr(dataset, "__getitems__") else [dataset[i] for i in indices]


def time_loading(sets: dict[str, Dataset], batch_size: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of one core for an item of each kind, collated, measured in turns on the same indices."""
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in sets}
    for _ in range(rounds + 1):  # the first one warms up
        indices = rng.integers(len(sets[BASE]), size=batch_size).tolist()
        for name, dataset in sets.items():
            start = time.process_time()
            default_collate(fetch(dataset, indices))
            times[name].append(1e3 * (time.process_time() - start) / batch_size)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def time_augmentation(dataset: Dataset, args: argparse.Namespace, device: torch.device) -> float:
    """Median milliseconds of the device for an item, its batch lying there."""
    batch = default_collate(fetch(dataset, [index % len(dataset) for index in range(args.batch_size)]))
    batch = {name: value.to(device) for name, value in batch.items()}
    augment = BatchAugment(augmented_pair(), args.image_size, seed=0)
    clock, times = _clock(device), []
    for step in range(args.rounds + 1):
        start = clock()
        augment(batch, 0, step)
        times.append(1e3 * (clock() - start) / args.batch_size)
    return statistics.median(times[1:])


def _clock(device: torch.device) -> Callable[[], float]:
    """Seconds after all work on the device is done: of a core on a CPU, on the wall otherwise."""
    if device.type == "cpu":
        return time.process_time

    def wait() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return wait


def main(args: argparse.Namespace) -> None:
    device = get_device(args.device)
    keep_freed_memory(device)
    torch.set_num_threads(1)  # as in a loader process
    sets, recorder = open_all(args), Recorder(args, "loader", device)
    times = time_loading(sets, args.batch_size, args.rounds)
    on_device = time_augmentation(sets["device"], args, device)
    setting = setting_text(data=args.data_root.name, views=args.image_size, batch=args.batch_size)
    recorder.add([Figure(setting, name, "load an item", ms, "ms", args.rounds) for name, ms in times.items()])
    recorder.add([Figure(setting, device.type, "augment an item of a batch", on_device, "ms", args.rounds)])
    for name, ms in times.items():
        print(f"{name:10} {1e3 / ms:7.0f} items/s a core {times[BASE] / ms:8.2f}x")


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
