"""Find shapes by a picture, a cloud or a mesh, in the space that CrossPoint's two branches share.

    python -m scripts.retrieve --model_path checkpoints/quickstart/last.pt --shapes data/shapes --query chair.jpg \
        --out answers.png
    python -m scripts.retrieve --model_path checkpoints/quickstart/last.pt --shapes data/held_out --evaluate \
        --json retrieval.json --out retrieval.png

--shapes is a folder of clouds and meshes, or of ShapeNet/ and ShapeNetRendering/. --evaluate scores every picture as a
query for its shape and every shape as a query for its pictures: recall at k counts the shape itself, mean average
precision counts its category. Without --query, --out shows the answers to some of the folder's own pictures.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from datasets.shapes.shape_folder import ShapeFile, list_shape_files
from utils.cli import run_main
from utils.evaluation.json_report import result_line, write_report
from utils.figures.contact_sheet import contact_sheet
from utils.figures.plot_style import save_png
from utils.flags import add_device_arg, add_flags, program_parser, require_at_least, weights_path
from utils.output_files import check_png_path, check_report_path, refuse_inputs
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device
from utils.retrieval.cross_modal import CrossModal, EmbeddingSettings, load_cross_modal
from utils.retrieval.retrieval_scores import retrieval_record
from utils.retrieval.search import (
    embed_queries,
    may_be_trained_on,
    nearest,
    read_query,
    sample_queries,
    score_both_ways,
    sheet_rows,
)
from utils.retrieval.shape_index import embed_folder

NUM_SAMPLES = 8


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the shapes, of the queries and of the embedding."""
    parser = program_parser(__doc__)
    parser.add_argument(
        "--model_path", type=weights_path, required=True, help="last.pt of a pre-training run: it holds both branches"
    )
    parser.add_argument("--shapes", type=Path, required=True, help="folder of the shapes that are searched")
    parser.add_argument("--query", nargs="+", metavar="FILE", help="pictures, clouds or meshes")
    parser.add_argument("--top", type=int, default=6, help="answers to each query")
    parser.add_argument("--out", type=Path, help="PNG: each query and its answers")
    parser.add_argument("--index", type=Path, help=".npz that keeps the shapes' embeddings, made when it is not there")
    parser.add_argument(
        "--cut_background", action="store_true", help="cut query pictures out of a smooth background and frame them"
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="score retrieval both ways on the folder's own pictures"
    )
    parser.add_argument("--json", help="also write the scores to this file")
    add_flags(parser, EmbeddingSettings, "embedding")
    add_device_arg(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Embed, search and score; refuse bad flags before the networks run."""
    settings = EmbeddingSettings.read(vars(args))
    require_at_least(1, args, "top")
    if not (args.query or args.evaluate or args.out):
        raise ValueError("nothing to do: pass --query FILE, --evaluate or --out PNG")
    if args.json and not args.evaluate:
        raise ValueError("--json is for the scores of --evaluate")
    check_report_path(args.json)
    check_png_path(args.out)
    shapes = list_shape_files(args.shapes)
    refuse_inputs(args.out, [*(args.query or ()), *(file for shape in shapes for file in shape.files)])
    device = get_device(args.device)
    keep_freed_memory(device)
    cross_modal, constants = load_cross_modal(args.model_path, device, settings)
    background = cross_modal.background
    queries = [read_query(path, background, is_cut=args.cut_background) for path in args.query or ()]
    index = embed_folder(cross_modal, shapes, constants, args.index)
    if args.evaluate:
        evaluate(args, cross_modal, shapes, index, constants)
    if not queries and args.out:
        queries = sample_queries(shapes, background, number=NUM_SAMPLES, seed=args.seed)
    if queries:
        answers = nearest(embed_queries(cross_modal, queries), index, shapes, args.top)
        for query, best in zip(queries, answers):
            found = ", ".join(f"{answer.shape.category} {answer.shape.name} {answer.similarity:.3f}" for answer in best)
            print(f"query {query.path}: {found}")
        if args.out:
            save_png(contact_sheet(sheet_rows(queries, answers, args.seed)), args.out)
            print(f"wrote {args.out}")


def evaluate(
    args: argparse.Namespace,
    cross_modal: CrossModal,
    shapes: list[ShapeFile],
    index: np.ndarray,
    constants: dict[str, Any],
) -> None:
    """Score both ways, print and write the records."""
    was_trained_on = may_be_trained_on(args.shapes, cross_modal.flags["data_root"])
    if was_trained_on:
        print(
            f"warning: the checkpoint was trained on {cross_modal.flags['data_root']}: nothing is held out",
            file=sys.stderr,
        )
    data = {
        "dataset": "shapenet_render",
        "variant": None,
        "split": "train" if was_trained_on else "test",
        "num_train": None,
        "num_test": len(shapes),
        "num_classes": len({shape.category for shape in shapes}),
        "data": str(args.shapes),
    }
    scores = score_both_ways(cross_modal, shapes, index)
    records = [retrieval_record(score, protocol, **data, **constants) for protocol, score in scores.items()]
    for record in records:
        print(result_line(record))
    write_report(args.json, records)


if __name__ == "__main__":
    run_main(main, parse_args())
