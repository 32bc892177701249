"""Loading of pre-training pairs from shards against the packed file, on the same data, in one process and one run.

    python -m data.pack data/shapes
    python -m data.shard data/shapes --out data/shards
    python -m benchmarks.shards --packed data/shapes/shapenet_render.h5 --shards data/shards

Whole epochs are loaded in turns, without loader processes; opening shards, order and collation are included. Figures
are medians of the rounds, in processor time of one core and in wall time, with augmentation by the loader and with
augmentation left to the device. Then the samples of a shard are read by Python's tarfile and by our reader, which also
verifies checksums.
"""

import argparse
import itertools
import tarfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness.records import Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import medians
from datasets.pairs.packed_render import PackedRender
from datasets.shards.shard_index import Shard, ShardIndex
from datasets.shards.shard_pairs import ShardPairs
from datasets.shards.shard_samples import SampleReader
from utils.cli import run_main
from utils.flags import program_parser, require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.training.epoch_loader import EpochLoader
from utils.training.shard_loader import ShardLoader

Loader = EpochLoader | ShardLoader
CLOCKS = {"load an item, CPU": time.process_time, "load an item, wall": time.perf_counter}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--packed", type=Path, required=True, help="file by data.pack")
    parser.add_argument("--shards", type=Path, required=True, help="folder by data.shard, of the same data")
    parser.add_argument("--image_size", type=int, default=224, help="pixels, square")
    parser.add_argument("--batch_size", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each kind")
    add_output_args(parser)
    args = parser.parse_args(argv)
    require_at_least(2, args, "image_size", "batch_size")
    require_at_least(1, args, "rounds")
    return args


def open_both(args: argparse.Namespace, *, augment: bool) -> dict[str, Loader]:
    """Open both loaders.

    Raises:
        ValueError: they hold different shapes.
    """
    packed = PackedRender(args.packed, image_size=args.image_size, augment=augment)
    shards = ShardPairs(str(args.shards), num_points=packed.num_points, image_size=args.image_size, augment=augment)
    loaders = {
        "packed": EpochLoader(packed, args.batch_size, seed=0, num_workers=0, pin_memory=False),
        "shards": ShardLoader(shards, args.batch_size, seed=0, num_workers=0, pin_memory=False),
    }
    next(batches := loaders["shards"].epoch(0))
    batches.close()
    number, name = next(iter(shards.sample_names.items()))
    if len(packed) != len(shards) or not name.startswith(packed.file.name(number) + " "):
        raise ValueError(f"{args.shards} are of other data than {args.packed}; write both again")
    return loaders


def time_epochs(loaders: dict[str, Loader], rounds: int) -> dict[str, dict[str, float]]:
    """Measure milliseconds for an item of each loader on each clock."""

    def epochs(loader: Loader) -> Iterator[object]:
        for epoch in itertools.count():
            yield deque(loader.epoch(epoch), maxlen=0)

    tasks = {name: partial(next, epochs(loader)) for name, loader in loaders.items()}
    times = medians(tasks, rounds, lambda: 1e3 * np.array([read() for read in CLOCKS.values()]))
    items = {name: len(loader) * loader.batch_size for name, loader in loaders.items()}
    return {
        clock: {name: values[number] / items[name] for name, values in times.items()}
        for number, clock in enumerate(CLOCKS)
    }


def read_by_tarfile(path: Path, shard: Shard, index: ShardIndex) -> Iterator[bytes]:
    """Yield the content of every file of a shard."""
    with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            yield tar.extractfile(member).read()


def read_by_ours(path: Path, shard: Shard, index: ShardIndex) -> Iterator[bytes]:
    """Yield every sample of a shard."""
    with path.open("rb") as stream:
        reader = SampleReader(stream, str(path), shard.bytes, index)
        for _ in range(shard.samples):
            yield reader.read()


def time_parsers(pairs: ShardPairs, rounds: int) -> dict[str, float]:
    """Measure microseconds of one core for a sample of the first shard."""
    shard = pairs.index.shards[0]
    path = Path(pairs.source.where(shard.name))
    readers: dict[str, Callable] = {"tarfile": read_by_tarfile, "ours": read_by_ours}
    tasks = {name: lambda read=read: deque(read(path, shard, pairs.index), maxlen=0) for name, read in readers.items()}
    return {name: 1e6 * value / shard.samples for name, value in medians(tasks, rounds, time.process_time).items()}


def main(args: argparse.Namespace) -> None:
    device = torch.device("cpu")
    keep_freed_memory(device)
    torch.set_num_threads(1)  # as in a loader process
    recorder = Recorder(args, "shards", device)
    for form in ("loader", "device"):
        loaders = open_both(args, augment=form == "loader")
        pairs = loaders["shards"].dataset
        setting = setting_text(
            shapes=len(pairs), N=pairs.num_points, views=args.image_size, batch=args.batch_size, augment=form
        )
        for clock, times in time_epochs(loaders, args.rounds).items():
            recorder.add(figures_of(setting, clock, "ms", times, args.rounds))
    setting = setting_text(samples=pairs.index.shards[0].samples)
    recorder.add(figures_of(setting, "read a sample, CPU", "us", time_parsers(pairs, args.rounds), args.rounds))


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
