"""Turn a folder of meshes into point clouds and rendered views in the layout of ShapeNet + ShapeNetRendering.

    python -m data.render_views MESH_DIR --out DIR --views 24 --size 137

Reads OFF, OBJ, PLY, STL, GLB and GLTF files at any depth. Writes DIR/ShapeNet/<sub-folder>/<name>.ply and
DIR/ShapeNetRendering/<sub-folder>/<name>/ (rendering/NN.png, cameras.npz, depth.npz, mesh.json; with --pairs also
pairs.npz, which says what points are seen at which pixels). Run it again to continue an interrupted run, to render
meshes that have changed or come since, or with --pairs to add the missing pairs.npz of finished shapes. Files that fail
and folders that may not be read are listed at the end; the exit status is then 1. Textures and other things that were
left out are noted.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tqdm import tqdm

from data.rendering.isolated_workers import Outcome, run_isolated
from data.rendering.mesh_conversion import Conversion, Settings, convert_shape
from data.rendering.mesh_origin import Outdated, is_up_to_date, remove_outdated
from data.rendering.pair_writer import has_pairs
from data.rendering.raycast import require_embreex
from data.rendering.shape_writer import PARTIAL
from datasets.shapes.mesh_files import MeshFile, find_meshes
from utils.cli import run_main
from utils.files import write_text
from utils.flags import seed_number
from utils.output_files import check_output_folder

RECORD = "render_views.json"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh_dir", type=Path, help="folder of meshes, searched at any depth")
    parser.add_argument("--out", type=Path, required=True, help="root of both output trees, not inside mesh_dir")
    parser.add_argument("--views", type=int, default=24, help="pictures per shape")
    parser.add_argument("--size", type=int, default=137, help="height and width of a picture in pixels")
    parser.add_argument("--points", type=int, default=2048, help="surface samples per shape")
    parser.add_argument("--up", choices=("y", "z"), default="y", help="up-axis of the meshes; clouds are written y-up")
    parser.add_argument(
        "--supersample", type=int, default=2, help="antialiasing: n x n rays per pixel beside the centre"
    )
    parser.add_argument(
        "--seed", type=seed_number, default=0, help="of points and cameras, together with each shape's name"
    )
    parser.add_argument("--pairs", action="store_true", help="also write which points are seen at which pixels")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes; default: one per core")
    args = parser.parse_args(argv)
    for name in ("views", "size", "points", "supersample", "workers"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    return args


def main(args: argparse.Namespace) -> int:
    """Convert every unfinished mesh; return the exit status."""
    try:
        require_embreex()
    except ImportError as error:
        raise OSError(str(error)) from error  # an OSError ends in a message without a traceback
    check_output_folder("--out", args.out)
    mesh_files, unreadable = find_meshes(args.mesh_dir)
    if args.out.resolve().is_relative_to(args.mesh_dir.resolve()):
        raise ValueError(f"--out {args.out} is inside {args.mesh_dir}: its clouds would be taken for meshes next time")
    settings = Settings(args.views, args.size, args.points, args.supersample, args.up, args.seed)
    _check_record(args.out, {"mesh_dir": str(args.mesh_dir.resolve())} | asdict(settings))
    outdated = remove_outdated(mesh_files, args.out)
    _report_outdated(outdated._replace(without_mesh=[]) if unreadable else outdated)
    to_do = [mesh for mesh in mesh_files if not _is_done(mesh, args.out, args.pairs)]
    convert = partial(convert_shape, settings=settings, out=args.out, with_pairs=args.pairs)
    start = time.perf_counter()
    outcomes = _convert_all(convert, to_do, args.workers, num_finished=len(mesh_files) - len(to_do))
    shutil.rmtree(args.out / PARTIAL, ignore_errors=True)
    status = _report(outcomes, len(mesh_files), settings, time.perf_counter() - start)
    for message in unreadable:
        print(f"failed: {message}", file=sys.stderr)
    return 1 if unreadable else status


def _check_record(out: Path, record: dict[str, str | int]) -> None:
    """Raise a ValueError if the folder was begun with other settings or meshes: old and new shapes would not match."""
    path = out / RECORD
    if not path.is_file():
        write_text(path, json.dumps(record, indent=2) + "\n")
        return
    try:
        before = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete {out}, or choose another --out") from error
    changed = [
        f"{name} {before.get(name)!r}, now {record[name]!r}" for name in record if before.get(name) != record[name]
    ]
    if changed:
        raise ValueError(f"{out} was begun with {'; '.join(changed)}. Choose another --out, or delete this one first")


def _is_done(mesh: MeshFile, out: Path, with_pairs: bool) -> bool:
    return is_up_to_date(mesh, out) and (not with_pairs or has_pairs(out, mesh.synset, mesh.shape_id))


def _convert_all(
    convert: Callable[[MeshFile], Conversion], mesh_files: Sequence[MeshFile], num_workers: int, *, num_finished: int
) -> list[Outcome]:
    outcomes = []
    with tqdm(total=len(mesh_files) + num_finished, initial=num_finished, unit="shape", desc="render") as bar:
        for outcome in run_isolated(convert, mesh_files, num_workers):
            outcomes.append(outcome)
            bar.set_postfix(failed=sum(done.error is not None for done in outcomes), refresh=False)
            bar.update()
    return outcomes


def _report_outdated(found: Outdated) -> None:
    if names := found.changed:
        print(f"{len(names)} meshes have changed since they were rendered, first {names[0]}: rendering them again")
    if names := found.renamed:
        print(f"removed {len(names)} shapes, first {names[0]}: their meshes have other names now")
    if names := found.without_mesh:
        print(f"note: {len(names)} shapes, first {names[0]}, are of no mesh now; delete those that are not wanted")


def _report(outcomes: Sequence[Outcome], num_meshes: int, settings: Settings, seconds: float) -> int:
    """Print speed and failures; return 1 if anything failed, else 0."""
    failed = sorted((done for done in outcomes if done.error is not None), key=lambda done: done.job.path)
    rendered = [done.result for done in outcomes if done.error is None and done.result.is_new]
    written, num_paired = len(rendered), len(outcomes) - len(failed) - len(rendered)
    num_views = written * settings.num_views
    cpu_seconds = sum(result.seconds for result in rendered)
    print(f"{written} shapes, {num_views} views in {seconds:.1f} s", end="")
    if written:
        print(f": {num_views / seconds:.0f} views/s, {num_views / cpu_seconds:.0f} views/s per core", end="")
    if num_paired:
        print(f"; pairs added to {num_paired} shapes", end="")
    skipped = num_meshes - len(outcomes)
    print(f"; {skipped} shapes were finished before" if skipped else "")
    for done in sorted((done for done in outcomes if done.error is None), key=lambda done: done.job.path):
        for note in done.result.notes:
            print(f"note: {done.job.path}: {note}")
    if not failed:
        return 0
    for done in failed:
        reason = done.error.removeprefix(f"{done.job.path}: ")
        print(f"failed: {done.job.path}: {reason}", file=sys.stderr)
    num_done = num_meshes - len(failed)
    print(f"{num_done} of {num_meshes} meshes are written, {len(failed)} failed (listed above)", file=sys.stderr)
    return 1


if __name__ == "__main__":
    run_main(lambda: main(parse_args()), goes_on="the same command goes on from here")
