"""Make a labelled set of real, freely licensed meshes out of the Debian package sweethome3d-furniture 1.8.

    python -m data.get_furniture --out data/furniture_set                     # apt-get downloads the package, 120 MB
    python -m data.get_furniture --out data/furniture_set --deb sweethome3d-furniture_1.8-1_all.deb
    python -m data.get_furniture --out data/furniture_set --sh3f /usr/share/sweethome3d/furniture/*.sh3f

Below --out it writes
    meshes/{train,test}/<class>/<model>/model.obj    472 models of 31 classes, with materials and textures
    meshes/other/unclassified/<model>/model.obj      348 models that fit no class
    modelnet40_ply_hdf5_2048/                        clouds of the 472, scaled to radius 1, and the names of the classes
    furniture.json                                   name, class, split, row and size in metres of each model
    attribution.csv, licences/                       who made each model and under which licence, with the texts
The folder appears when it is complete. Models that are no usable mesh are listed; the exit status is then 1.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path

from data.furniture.class_table import UNCLASSIFIED, read_class_table
from data.furniture.debian_package import COPYRIGHT, download_package, extract_libraries
from data.furniture.furniture_writer import LICENCES, RECORD, Item, write_set
from data.furniture.library import read_library
from data.parallel import parallel_map
from data.unpack import sha256
from utils.cli import run_main
from utils.files import locked
from utils.output_files import check_output_folder


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the set; later passed as --data_root")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--deb", type=Path, help="the Debian package; without it and --sh3f apt-get downloads it")
    source.add_argument("--sh3f", type=Path, nargs="+", help="its libraries, or some of them")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes; 1 stays in this one")
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error(f"--workers must be at least 1, got {args.workers}")
    return args


def main(args: argparse.Namespace) -> int:
    """Write the set, or find it complete; return the exit status."""
    start = time.perf_counter()
    check_output_folder("--out", args.out)
    out = args.out.resolve()
    before = _digests_of(out)
    if before and not (args.deb or args.sh3f):
        print(f"{args.out} is complete: nothing to do")
        return 0
    work = out.with_name(f".{out.name}.partial")
    with locked(out):
        shutil.rmtree(work, ignore_errors=True)  # of a killed run
        libraries, made = work / "libraries", work / "set"
        try:
            libraries.mkdir(parents=True)
            if not (args.sh3f or args.deb):
                print("apt-get downloads the package, 120 MB", flush=True)
            paths = args.sh3f or extract_libraries(args.deb or download_package(libraries), libraries)
            digests = {path.name: sha256(path) for path in paths}
            if before:
                return _compare(args.out, before, digests)
            items = _place(paths)
            if (libraries / COPYRIGHT).is_file():
                (made / LICENCES).mkdir(parents=True)
                (libraries / COPYRIGHT).rename(made / LICENCES / COPYRIGHT)
            with parallel_map(args.workers) as run:
                refused = write_set(made, items, read_class_table(), digests, run)
            made.rename(out)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    for line in refused:
        print(f"refused: {line}", file=sys.stderr)
    check = f"python -m data.check_data {shlex.quote(str(args.out))}"
    print(f"wrote {args.out} in {time.perf_counter() - start:.0f} s; check it: {check}")
    return 1 if refused else 0


def _digests_of(out: Path) -> dict[str, str]:
    """Read from which libraries a complete set was made; nothing if there is none.

    Raises:
        ValueError: the folder holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    try:
        return dict(json.loads((out / RECORD).read_text(encoding="utf-8"))["libraries"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{out} is not empty and no set of this program ({error}); pass another --out") from error


def _compare(out: Path, before: dict[str, str], digests: dict[str, str]) -> int:
    if before != digests:
        raise ValueError(f"{out} was made from other libraries ({', '.join(sorted(before))}); pass another --out")
    print(f"{out} is complete, made from the same libraries: nothing to do")
    return 0


def _place(paths: list[Path]) -> list[Item]:
    """Read the libraries and find the place of each model, sorted by split, class and name; print what is there."""
    table = read_class_table()
    items, strangers = [], 0
    for library in map(read_library, paths):
        strangers += sum(model.name not in table.places for model in library.models)
        items += [Item(model, library, table.places.get(model.name, UNCLASSIFIED)) for model in library.models]
    items.sort(key=lambda item: item.path)
    twice = {one.model.name for one, other in pairwise(items) if one.path == other.path}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} are in several of {', '.join(map(str, paths))}: give each once")
    found = {item.model.name for item in items}
    missing = sum(name not in found for name in table.places)
    counts = {split: sum(item.place.split == split for item in items) for split in ("train", "test", "other")}
    print(f"{counts['train']} models for train, {counts['test']} for test, {counts['other']} unclassified")
    if missing:
        print(f"note: {missing} of the {len(table.places)} models in the table of classes are not in these files")
    if strangers:
        print(f"note: {strangers} models are not in the table of classes, made for version 1.8: unclassified")
    return items


if __name__ == "__main__":
    run_main(main, parse_args())
