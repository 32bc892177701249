"""Make the built-in data: procedural shapes of the 16 ShapeNetPart categories, in the layouts of the real sets.

    python -m data.make_shapes --out data/shapes

Below --out it writes
    ShapeNet/<synset>/<id>.ply, ShapeNetRendering/<synset>/<id>/   clouds and pictures for pre-training
    modelnet40_ply_hdf5_2048/       clean, aligned clouds, train and test
    ScanObjectNN/                   the same shapes as a depth sensor sees them: one side, noise, clutter, any heading
    shapenet_part_seg_hdf5_data/    clouds with part labels, train, val and test
    captions.json                   texts of the pre-training shapes: category, members, proportions, colours
With --pairs also pairs.npz of each pre-training shape, which says what points are seen at which pixels; to a complete
tree it adds the missing ones of these, or missing captions, and changes no other file. No shape of an evaluation set is
a pre-training shape.
The same arguments give the same data on any number of workers.
"""

import argparse
import os
import shlex
import time
from pathlib import Path

from data.procedural import manifest
from data.procedural.built_in_tree import TreeSize, add_missing_captions, add_missing_pairs, write_tree
from datasets.layouts import CAPTIONS
from utils.cli import run_main
from utils.flags import seed_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the tree; later passed as --data_root")
    parser.add_argument("--shapes_per_class", type=int, default=80, help="pre-training shapes of each category")
    parser.add_argument("--train_per_class", type=int, default=80, help="evaluation shapes, split train")
    parser.add_argument("--val_per_class", type=int, default=10, help="evaluation shapes, split val (parts only)")
    parser.add_argument("--test_per_class", type=int, default=30, help="evaluation shapes, split test")
    parser.add_argument("--views", type=int, default=8, help="pictures of each pre-training shape")
    parser.add_argument("--size", type=int, default=112, help="height and width of the pictures in pixels")
    parser.add_argument("--seed", type=seed_number, default=0)
    parser.add_argument("--pairs", action="store_true", help="also write which points are seen at which pixels")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, one thread each")
    parser.add_argument("--overwrite", action="store_true", help="replace a tree made by other arguments")
    args = parser.parse_args(argv)
    counts = ("shapes_per_class", "train_per_class", "val_per_class", "test_per_class", "views", "size", "workers")
    for name in counts:
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    return args


def main(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    no_recipe = ("out", "workers", "overwrite", "pairs")
    recipe = {name: value for name, value in vars(args).items() if name not in no_recipe}
    is_complete = not manifest.prepare(args.out, recipe, overwrite=args.overwrite)
    size = TreeSize(
        args.shapes_per_class,
        args.train_per_class,
        args.val_per_class,
        args.test_per_class,
        num_views=args.views,
        size_px=args.size,
    )
    if is_complete:
        place = {"seed": args.seed, "workers": args.workers}
        lacks_captions = not (args.out / CAPTIONS).is_file()
        if lacks_captions:
            add_missing_captions(args.out, size, **place)
            print(f"added {CAPTIONS} to {args.out}")
        added = add_missing_pairs(args.out, size, **place) if args.pairs else 0
        if added:
            print(f"added the pairs of {added} shapes to {args.out}")
        elif not lacks_captions:
            print(f"{args.out} is complete, made by the same arguments: nothing to do")
        return
    write_tree(args.out, size, seed=args.seed, workers=args.workers, with_pairs=args.pairs)
    manifest.finish(args.out, recipe)
    check = f"python -m data.check_data {shlex.quote(str(args.out))}"
    print(f"wrote {args.out} in {time.perf_counter() - start:.0f} s; check it: {check}")


if __name__ == "__main__":
    run_main(main, parse_args())
