"""Make objects of random programs for pre-training, as many as wanted, in the layout of ShapeNet + ShapeNetRendering.

    python -m data.make_programs --out data/programs

Below --out it writes ShapeNet/<group>/<id>.ply and ShapeNetRendering/<group>/<id>/: clouds, pictures, cameras, depth,
and with --pairs which points are seen at which pixels; to a complete tree it adds the missing ones of these.
A program assembles blocks, sweeps, shells, sheets and wires by random rules: parts on, beside, around and between
others, in mirrored and turned copies, deformed and cut (data/procedural/programs/). None makes a class of a data set.
The same arguments give the same data on any number of workers, and an object depends on the seed and its number alone.
"""

import argparse
import os
import shlex
import time
from pathlib import Path

from data.parallel import parallel_map
from data.procedural import manifest
from data.procedural.programs.program_jobs import ProgramJob, run_program
from data.rendering.raycast import require_embreex
from datasets.layouts import CLOUDS, RENDERS
from utils.cli import run_main
from utils.flags import program_parser, require_at_least, seed_number

RECORD = {"program": "make_programs"}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the tree; later passed as --data_root")
    parser.add_argument("--count", type=int, default=3000, help="objects: those of numbers 0 to COUNT - 1")
    parser.add_argument("--views", type=int, default=6, help="pictures of each object")
    parser.add_argument("--size", type=int, default=96, help="height and width of the pictures in pixels")
    parser.add_argument("--seed", type=seed_number, default=0)
    parser.add_argument("--pairs", action="store_true", help="also write which points are seen at which pixels")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, one thread each")
    parser.add_argument("--overwrite", action="store_true", help="replace a tree made by other arguments")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "count", "views", "size", "workers")
    try:
        require_embreex()
    except ImportError as error:
        raise OSError(str(error)) from error  # an OSError ends in a message without a traceback
    start = time.perf_counter()
    recipe = {name: getattr(args, name) for name in ("count", "views", "size", "seed")}
    folders = (CLOUDS, RENDERS)
    is_new = manifest.prepare(args.out, recipe, overwrite=args.overwrite, folders=folders, **RECORD)
    jobs = [ProgramJob(args.out, args.seed, number, args.views, args.size, args.pairs) for number in range(args.count)]
    if not is_new:
        jobs = [job for job in jobs if args.pairs and not job.is_done]
    with parallel_map(args.workers) as run:
        written = sum(run(run_program, jobs, "objects"))
    if not is_new:
        done = f"added the pairs of {written} objects to {args.out}"
        print(done if jobs else f"{args.out} is complete, made by the same arguments: nothing to do")
        return
    manifest.finish(args.out, recipe, **RECORD)
    check = f"python -m data.check_data {shlex.quote(str(args.out))}"
    print(f"wrote {written} objects to {args.out} in {time.perf_counter() - start:.0f} s; check it: {check}")


if __name__ == "__main__":
    run_main(main, parse_args())
