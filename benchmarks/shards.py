"""Loading of pre-training pairs from shards against the packed file, on the same data, in one process and one run.

    python -m data.pack data/shapes
    python -m data.shard data/shapes --out data/shards
    python -m benchmarks.shards --packed data/shapes/shapenet_render.h5 --shards data/shards

Whole epochs in turns, A B A B ..., without loader processes: opening of shards, order and collation included. Medians
of the rounds, in CPU time of one core and on the wall. For both forms of training: augmentation by the loader, and left
to the device. Then a sample of a shard through Python's tarfile and through our reader, checksum included.
"""

import argparse
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.harness.records import Figure, Recorder, add_output_args, setting_text
from datasets.pairs.packed_render import PackedRender
from datasets.shards.shard_index import Shard, ShardIndex
from datasets.shards.shard_pairs import ShardPairs
from datasets.shards.shard_samples import SampleReader
from utils.cli import run_main
from utils.flags import require_at_least
from utils.processes.allocator import keep_freed_memory
from utils.training.epoch_loader import EpochLoader
from utils.training.shard_loader import ShardLoader

Loader = EpochLoader | ShardLoader
_CLOCKS = {"load an item, CPU": time.process_time, "load an item, wall": time.perf_counter}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    """The two loaders.

    Raises:
        ValueError: they do not hold the same shapes.
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
    """For each clock the median milliseconds for an item of each loader, epochs taken in turns."""
    times: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in loaders} for clock in _CLOCKS}
    for epoch in range(rounds + 1):  # the first one warms up
        for name, loader in loaders.items():
            starts = {clock: read() for clock, read in _CLOCKS.items()}
            items = sum(len(batch["index"]) for batch in loader.epoch(epoch))
            for clock, read in _CLOCKS.items():
                times[clock][name].append(1e3 * (read() - starts[clock]) / items)
    return {
        clock: {name: statistics.median(values[1:]) for name, values in by_name.items()}
        for clock, by_name in times.items()
    }


def read_by_tarfile(path: Path, shard: Shard, index: ShardIndex) -> Iterator[bytes]:
    """The content of every file of a shard."""
    with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            yield tar.extractfile(member).read()


def read_by_ours(path: Path, shard: Shard, index: ShardIndex) -> Iterator[bytes]:
    """Every sample of a shard."""
    with path.open("rb") as stream:
        reader = SampleReader(stream, str(path), shard.bytes, index)
        for _ in range(shard.samples):
            yield reader.read()


def time_parsers(pairs: ShardPairs, rounds: int) -> dict[str, float]:
    """Median microseconds of one core for a sample, shards taken in turns."""
    shard = pairs.index.shards[0]
    path = Path(pairs.source.where(shard.name))
    readers: dict[str, Callable] = {"tarfile": read_by_tarfile, "ours": read_by_ours}
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds + 1):
        for name, read in readers.items():
            start = time.process_time()
            for _ in read(path, shard, pairs.index):
                pass
            times[name].append(1e6 * (time.process_time() - start) / shard.samples)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


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
            recorder.add(Figure(setting, side, clock, ms, "ms", args.rounds) for side, ms in times.items())
    times = time_parsers(pairs, args.rounds)
    setting = setting_text(samples=pairs.index.shards[0].samples)
    recorder.add(Figure(setting, side, "read a sample, CPU", us, "us", args.rounds) for side, us in times.items())


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
