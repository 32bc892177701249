"""Score a frozen encoder by a linear SVM (published and fair protocol) and by its nearest neighbour.

    python -m scripts.eval_svm --model_path checkpoints/crosspoint/models/best_model.pth --dataset modelnet40
    python -m scripts.eval_svm --random_init --dataset scanobjectnn --variant obj_bg --json results.json

Train split fits, test split scores, once. Prints every constant, then one line for each protocol that starts with
`result`. Compare a pre-trained encoder with --random_init under the same protocol.
"""

import argparse
import sys

from utils import run
from utils.cli import run_main
from utils.evaluation.classification import PROTOCOLS, run_protocols
from utils.evaluation.inputs import (
    FrozenEncoder,
    add_dataset_args,
    add_encoder_args,
    load_frozen_encoder,
    load_split,
    size_warning,
)
from utils.evaluation.linear_svm import PUBLISHED_C
from utils.evaluation.report import check_report_path, constants_line, make_record, result_line, write_report
from utils.features import extract_features


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Flags of the encoder, of the data and of the protocols."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_encoder_args(parser)
    add_dataset_args(parser)
    group = parser.add_argument_group("protocols")
    group.add_argument("--protocol", choices=("all", *PROTOCOLS), default="all")
    group.add_argument("--c", type=float, default=PUBLISHED_C, help="C of the published protocol")
    group.add_argument("--json", help="also write the results to this file")
    return parser.parse_args(argv)


def describe_data(args: argparse.Namespace, train, test) -> dict:
    """What is to be recorded about the clouds (JSON values)."""
    return {
        "variant": (args.variant or "obj_bg") if args.dataset == "scanobjectnn" else None,
        "num_points": args.num_points,
        "normalize": args.normalize,
        "num_train": len(train),
        "num_test": len(test),
        "num_classes": len(train.class_names),
        "data": str(train.shards[0].parent),
    }


def score_encoder(args: argparse.Namespace, frozen: FrozenEncoder, device) -> list[dict]:
    """Run the protocols; prints constants and results, returns the records."""
    train, test = load_split(args, "train"), load_split(args, "test")
    data = describe_data(args, train, test)
    print(f"encoder: {frozen.description}")
    print(f"data: {args.dataset}, " + ", ".join(f"{key} {value}" for key, value in data.items() if value is not None))
    size = None if args.normalize else size_warning(train.points)
    for warning in [*frozen.warnings, *([size] if size else [])]:
        print(f"warning: {warning}", file=sys.stderr)
    features = [
        extract_features(frozen.encoder, part.points, batch_size=args.batch_size, device=device, progress=split)
        for split, part in (("train", train), ("test", test))
    ]
    protocols = PROTOCOLS if args.protocol == "all" else (args.protocol,)
    scores = run_protocols(
        features[0], train.labels, features[1], test.labels, protocols=protocols, c=args.c, seed=args.seed
    )
    constants = {**frozen.constants, **data, "seed": args.seed}
    records = [make_record(score, dataset=args.dataset, split="test", **constants) for score in scores]
    print("\n".join([*map(constants_line, scores), *map(result_line, records)]))
    for score in scores:
        if not score.constants.get("has_converged", True):
            print(f"warning: the {score.protocol} SVM did not converge; compare with --normalize", file=sys.stderr)
    return records


def main(args: argparse.Namespace) -> None:
    """Load, score, report; what can be refused is refused before the encoder runs."""
    if args.c <= 0:
        raise ValueError(f"--c must be > 0, got {args.c}")
    if args.json:
        check_report_path(args.json)
    device = run.get_device(args.device)
    records = score_encoder(args, load_frozen_encoder(args, device), device)
    if args.json:
        write_report(args.json, records)


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
