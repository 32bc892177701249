"""Make furnished rooms with RGB-D frames and labels, in the layouts of ScanNet, S3DIS and SUN RGB-D.

    python -m data.make_rooms --out data/rooms

Below --out it writes scans/<scene>/ with frames and scannetv2_{train,val,test}.txt, Area_<k>/<room>/ and
sunrgbd_pc_bbox_votes_50k_v1_{train,val}/: the same rooms three times, as the readers of the real sets take them.
A room has walls, doors, windows and furniture of the built-in families (data/procedural/); a camera goes once around
in it, and its depth has the noise and the holes of a sensor. docs/rooms.md says what rooms hold and the classes' names.
The same arguments give the same data on any number of workers, and a room depends on the seed and its number alone.
"""

import argparse
import os
import shlex
import time
from pathlib import Path

from data.parallel import parallel_map
from data.procedural import manifest
from data.procedural.rooms.room_jobs import LAYOUTS, NUM_AREAS, RoomJob, run_room, scan_name, split_of
from data.procedural.rooms.scannet_writer import write_lists
from data.rendering.raycast import require_embreex
from datasets.scenes.sunrgbd_scenes import SPLITS, prepared_folder
from utils.cli import run_main
from utils.flags import program_parser, require_at_least, seed_number

_PROGRAM = "make_rooms"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the rooms; later passed as --data_root")
    parser.add_argument("--count", type=int, default=24, help="rooms: those of numbers 0 to COUNT - 1")
    parser.add_argument("--frames", type=int, default=16, help="frames of each room")
    parser.add_argument("--width", type=int, default=320, help="width of a frame in pixels; its height is 3/4 of it")
    parser.add_argument("--voxel", type=float, default=0.04, help="edge in metres of the cells that make up a cloud")
    parser.add_argument("--layout", choices=(*LAYOUTS, "all"), default="all")
    parser.add_argument("--seed", type=seed_number, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, one thread each")
    parser.add_argument("--overwrite", action="store_true", help="replace rooms made by other arguments")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "count", "workers")
    require_at_least(2, args, "frames")
    require_at_least(64, args, "width")
    require_at_least(0.01, args, "voxel")
    try:
        require_embreex()
    except ImportError as error:
        raise OSError(str(error)) from error  # an OSError ends in a message without a traceback
    start = time.perf_counter()
    layouts = LAYOUTS if args.layout == "all" else (args.layout,)
    recipe = {name: getattr(args, name) for name in ("count", "frames", "width", "voxel", "layout", "seed")}
    areas, prepared = [f"Area_{k + 1}" for k in range(NUM_AREAS)], [prepared_folder(Path(), s).name for s in SPLITS]
    options = {"overwrite": args.overwrite, "program": _PROGRAM, "folders": ["scans", *areas, *prepared]}
    if not manifest.prepare(args.out, recipe, **options):
        print(f"{args.out} is complete, made by the same arguments: nothing to do")
        return
    jobs = [
        RoomJob(args.out, args.seed, index, args.frames, args.width, args.voxel, layouts) for index in range(args.count)
    ]
    with parallel_map(args.workers) as run:
        points = sum(run(run_room, jobs, "rooms"))
    if "scannet" in layouts:
        rooms = {split: [n for n in range(args.count) if split_of(n) == split] for split in ("train", "val", "test")}
        write_lists(args.out, {split: [scan_name(n) for n in numbers] for split, numbers in rooms.items()})
    manifest.finish(args.out, recipe, program=_PROGRAM)
    check = f"python -m data.check_data {shlex.quote(str(args.out))}"
    seconds = time.perf_counter() - start
    print(f"wrote {args.count} rooms of {points} points to {args.out} in {seconds:.0f} s; check them: {check}")


if __name__ == "__main__":
    run_main(main, parse_args(), goes_on="the same command goes on from here")
