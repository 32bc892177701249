"""Write pre-training data as WebDataset tar shards, which training streams from a folder, HTTP(S), S3 or GCS.

    python -m data.shard data/shapes --out data/shards
    python train_crosspoint.py --data_root data/shapes --shards data/shards
    python -m data.shard --verify https://host/shards

The shards hold V passes. Each holds every shape once, in random order, with a different view; epoch e reads pass e % V.
A pass stores one cloud and one view per shape and, where all shapes have them, the pairs of pixels and points of all
its views, which double its size. index.json, written last, lists all shards with their SHA-256; a folder without it is
unfinished: the same command goes on there, after checking the hashes of the shards that are finished.
Equal data and flags give equal shards.
Exit status: 0 written or sound, 1 faults found, 2 misuse.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from data.checking.check_shapenet import training_command
from data.storage.packed_writer import report_faults
from data.storage.sample_sources import PackedSource, SampleSource, TreeSource
from data.storage.shard_writer import claim_folder, find_bad_shards, write_shards
from datasets.shards.shard_index import ShardIndex
from datasets.shards.shard_source import ShardSource
from utils.cli import run_main
from utils.flags import require_at_least, seed_number

MOST_VIEWS = 4  # passes by default


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", help="folder of ShapeNet/ and ShapeNetRendering/, or packed file")
    parser.add_argument("--out", type=Path, help="folder to write the shards into")
    parser.add_argument(
        "--views",
        type=int,
        help=f"passes, at most the fewest views of a shape (default: as many, but no more than {MOST_VIEWS})",
    )
    parser.add_argument(
        "--samples_per_shard",
        type=int,
        default=1000,
        help="at most; read by URL, a shard should hold no more samples than a stream of the training",
    )
    parser.add_argument("--seed", type=seed_number, default=0, help="order of shapes and views")
    parser.add_argument("--no_pairs", action="store_true", help="leave pairs of pixels and points out, which are large")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes; 1 stays in this one")
    parser.add_argument("--overwrite", action="store_true", help="replace the shards in --out")
    parser.add_argument("--verify", metavar="DIR_OR_URL", help="only compare the shards there with their SHA-256")
    args = parser.parse_args(argv)
    if args.verify is not None and (args.root or args.out):
        parser.error("--verify takes no other data; leave ROOT and --out out")
    if args.verify is None and not (args.root and args.out):
        parser.error("name the data and --out, or --verify shards")
    return args


def open_source(root: Path) -> SampleSource:
    """Open a packed file, or the trees below a folder."""
    return PackedSource(root) if root.is_file() else TreeSource(root)


def verify(location: str, workers: int) -> int:
    """Print every bad shard; return the exit status."""
    source = ShardSource(location)
    index = source.load_index()
    bad = 0
    for fault in find_bad_shards(source, index, workers):
        print(f"FAULT: {fault}", file=sys.stderr)
        bad += 1
    if bad:
        print(f"{bad} of {len(index.shards)} shards are bad; copy them again, or write all again", file=sys.stderr)
        return 1
    print(f"{location}: {len(index.shards)} shards are sound, {len(index.passes)} passes over {index.shapes} shapes")
    return 0


def main(args: argparse.Namespace) -> int:
    """Write shards and print what they hold, or verify some; return the exit status."""
    require_at_least(1, args, "samples_per_shard", "workers")
    if args.verify is not None:
        return verify(args.verify, args.workers)
    source = open_source(args.root)
    source.has_pairs &= not args.no_pairs
    fewest = source.fewest_views()
    passes = min(fewest, MOST_VIEWS) if args.views is None else args.views
    if not 1 <= passes <= fewest:
        raise ValueError(f"--views {passes}: a shape has {fewest} views; pass 1 to {fewest}")
    size, seed = args.samples_per_shard, args.seed
    with claim_folder(args.out, overwrite=args.overwrite):
        result = write_shards(
            source, args.root, args.out, passes=passes, samples_per_shard=size, seed=seed, workers=args.workers
        )
    if isinstance(result, ShardIndex):
        _report(args, result)
        return 0
    return report_faults(result)


def _report(args: argparse.Namespace, index: ShardIndex) -> None:
    size = sum(shard.bytes for shard in index.shards) / 2**20
    print(
        f"wrote {args.out}: {index.shapes} shapes, {len(index.passes)} passes with a view of each, "
        f"{len(index.shards)} shards, {size:.1f} MiB"
    )
    print(f"{'with' if index.has_pairs else 'without'} pairs of pixels and points")
    root = args.root.parent if args.root.is_file() else args.root
    data = f"--data_root {shlex.quote(str(root))} --shards {shlex.quote(str(args.out))}"
    print(f"next: {training_command(data, index.shapes, index.fewest_points)}")


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
