"""Pack the trees ShapeNet and ShapeNetRendering of a folder into one HDF5 file, from which pre-training reads faster.

    python -m data.pack data/shapes
    python train_crosspoint.py --data_root data/shapes --packed data/shapes/shapenet_render.h5

Items equal those of the trees bit for bit. The folder may also be the published multi-view ModelNet40 (data/README.md),
whose train split is packed. If any cloud or picture cannot be read, all such files are listed and nothing is written.
The file takes its name once complete; until then its folder needs room for about twice its size.
Exit status: 0 written, 1 faults found, 2 misuse.
"""

import argparse
import os
import shlex
from pathlib import Path

from data.checking.check_shapenet import training_command
from data.storage.pack_jobs import list_to_pack
from data.storage.packed_writer import Counts, report_faults, write_packed
from datasets.layouts import PACKED
from datasets.pairs.packed_file import is_packed
from datasets.pairs.pair_tables import pairs_command
from utils.cli import run_main


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder that holds ShapeNet/ and ShapeNetRendering/")
    parser.add_argument("--out", type=Path, help=f"file to write (default: ROOT/{PACKED})")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes; 1 stays in this one")
    parser.add_argument("--overwrite", action="store_true", help="replace --out")
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error("--workers must be at least 1")
    return args


def main(args: argparse.Namespace) -> int:
    """Write the file and print what it holds; return the exit status."""
    out = args.out or args.root / PACKED
    if out.is_dir():
        raise IsADirectoryError(f"--out {out} is a folder; name a file in it, such as {out / PACKED}")
    if out.exists() and not args.overwrite:
        remedy = ", or replace it with --overwrite" if is_packed(out) else "; data.pack did not write this file"
        raise FileExistsError(f"{out} exists; choose another --out{remedy}")
    jobs, left_out = list_to_pack(args.root)
    if left_out:
        print(f"{len(left_out)} shapes have no view with a picture and pairs and are left out, first {left_out[0]}")
    result = write_packed(args.root, jobs, out, workers=args.workers)
    if not isinstance(result, Counts):
        return report_faults(result)
    print(
        f"wrote {out}: {result.shapes} shapes, {result.points} points, {result.views} views, "
        f"{out.stat().st_size / 2**20:.1f} MiB"
    )
    if result.pairs is None:
        print(f"without pairs of pixels and points, which not all shapes have; to add them: {pairs_command(args.root)}")
    else:
        print(f"with {result.pairs} pairs of pixels and points")
    if result.shapes < 2:
        print("next: pack more shapes, pre-training compares at least 2")
        return 0
    data = f"--data_root {shlex.quote(str(args.root))} --packed {shlex.quote(str(out))}"
    print(f"next: {training_command(data, result.shapes, result.fewest_points)}")
    return 0


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
