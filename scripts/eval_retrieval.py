"""Score retrieval by pictures: plain renders, objects cut out of a smooth background, objects in a furnished room.

    python -m scripts.eval_retrieval --run checkpoints/quickstart --data_root data/held_out --json kinds.json \
        --picture kinds.png

Each query is composed of a view of a shape that the training has not seen, and is to find the cloud of that shape among
those of all such shapes: shapes of --data_root whose cloud the run's own data hold too are left out. Prints a line that
starts with `result` for each kind: recall at k counts the shape itself, precision at k the shapes of its category among
the k nearest. A room has other objects of --data_root in it, with their shadows, which no training shows.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets.shapes.shape_folder import ShapeFile, list_shape_files, read_shape
from utils.cli import run_main
from utils.evaluation.json_report import result_line, write_report
from utils.figures.contact_sheet import contact_sheet
from utils.figures.plot_style import save_png
from utils.flags import add_device_arg, add_flags, default_data_root, program_parser, require_at_least
from utils.output_files import check_png_path, check_report_path, refuse_inputs
from utils.pretraining.seen_data import open_seen_data, place_of_data
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device
from utils.retrieval.composed_queries import KINDS, ComposedQueries, kinds_sheet, score_kind
from utils.retrieval.cross_modal import EmbeddingSettings, load_cross_modal
from utils.retrieval.retrieval_scores import retrieval_record
from utils.retrieval.shape_index import embed_folder
from utils.run.names import STATE_FILE

NUM_SHOWN, TOP = 3, 6  # queries of each kind on the picture, and answers to each


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the run, of the shapes and of the embedding."""
    parser = program_parser(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run of train_crosspoint.py")
    parser.add_argument(
        "--data_root", type=Path, default=default_data_root(), help="holds ShapeNet/ and ShapeNetRendering/"
    )
    parser.add_argument("--num_shapes", type=int, help="score at most so many, drawn by --seed (default: all)")
    parser.add_argument("--views", type=int, default=1, help="of each shape that become queries")
    parser.add_argument("--json", help="also write the scores to this file")
    parser.add_argument("--picture", type=Path, help="PNG: some queries of each kind and their answers")
    add_flags(parser, EmbeddingSettings, "embedding")
    add_device_arg(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Leave out what was trained on, embed, score; refuse bad flags before the networks run."""
    settings = EmbeddingSettings.read(vars(args))
    require_at_least(1, args, "views")
    if args.num_shapes is not None:
        require_at_least(2, args, "num_shapes")
    check_report_path(args.json)
    check_png_path(args.picture)
    listed = list_shape_files(args.data_root)
    refuse_inputs(args.picture, (file for shape in listed for file in shape.files))
    device = get_device(args.device)
    keep_freed_memory(device)
    cross_modal, constants = load_cross_modal(args.run / STATE_FILE, device, settings)
    seen = trained_on(cross_modal.flags, listed)
    shapes = [shape for shape in listed if shape.name not in (seen or ())]
    if seen and len(shapes) < 2:
        raise ValueError(
            f"{args.run} was trained on {len(seen)} of the {len(listed)} shapes in {args.data_root}; name a folder "
            "with others by --data_root"
        )
    if seen is None:
        where = place_of_data(cross_modal.flags)
        print(f"warning: the data of the training, {where}, cannot be read: none is left out", file=sys.stderr)
    if args.num_shapes is not None and len(shapes) > args.num_shapes:
        drawn = np.random.default_rng(args.seed).choice(len(shapes), args.num_shapes, replace=False)
        shapes = [shapes[number] for number in sorted(drawn.tolist())]
    queries = ComposedQueries(shapes, cross_modal.background, views=args.views, seed=args.seed)
    left_out = "" if seen is None else f", {len(seen)} of {len(listed)} left out as trained on"
    print(f"{len(shapes)} shapes, {len(queries)} queries of each kind{left_out}")
    data = {
        "dataset": "shapenet_render",
        "variant": None,
        "split": "test",
        "num_train": None,
        "num_test": len(shapes),
        "num_classes": len({shape.category for shape in shapes}),
        "data": str(args.data_root),
        "num_trained_on": None if seen is None else len(seen),
    }
    index = embed_folder(cross_modal, shapes, constants)
    records, rows = [], {}
    for kind in KINDS:
        rows[kind], score = score_kind(cross_modal, queries, kind, index)
        records.append(retrieval_record(score, f"{kind}_picture", **data, **constants))
        records[-1]["num_whole"] = len(queries.whole) if kind == "cut" else None
        print(result_line(records[-1]))
    if queries.whole:
        print(f"{len(queries.whole)} of {len(queries)} pictures were not cut: no object was found in them")
    write_report(args.json, records)
    if args.picture:
        save_png(contact_sheet(kinds_sheet(queries, rows, index, number=NUM_SHOWN, top=TOP)), args.picture)
        print(f"wrote {args.picture}")


def trained_on(flags: Mapping[str, Any], shapes: list[ShapeFile]) -> set[str] | None:
    """Return the names of the shapes whose cloud, number for number, is in the data of a training.

    Args:
        flags: of the training; its data are looked for where it found them.
    Returns:
        None where they cannot be read.
    """
    source = open_seen_data(flags)
    if source is None:
        return None
    places = {source.name(number): number for number in range(len(source))}
    known = [shape for shape in shapes if shape.name in places]
    return {
        shape.name for shape in known if np.array_equal(source.read_points(places[shape.name]), read_shape(shape.path))
    }


if __name__ == "__main__":
    run_main(main, parse_args())
