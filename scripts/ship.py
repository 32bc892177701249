"""Put the encoder of a finished pre-training into pretrained/, with its card, the log of the run, and the table there.

    python -m scripts.ship checkpoints/open_dgcnn --name dgcnn-open --tree data/open/trees/kaykit KayKit CC0-1.0 \
        --scores infomr69 random.json shipped.json

scripts/pretrain_open.sh is the whole path to it. Every program then takes the name for a file: --model_path dgcnn-open.
Only runs of train_crosspoint.py into which no label has come are taken; the card says what shapes they saw, under which
licences, and how the encoder scores beside random weights. The trees are compared with the data of the run, shape by
shape, if these are still where the run found them.
"""

import argparse
from pathlib import Path

from models.weights.shipped import SHIPPED
from utils.cli import run_main
from utils.flags import program_parser, require_at_least
from utils.results.learned_from import Tree
from utils.results.shipping import TestSet, ship
from utils.run.names import LAST_WEIGHTS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("run", type=Path, help="folder of the pre-training")
    parser.add_argument("--name", required=True, help="of the weights, without a suffix")
    parser.add_argument("--weights", default=LAST_WEIGHTS, help="file in the run's models/")
    parser.add_argument(
        "--tree",
        nargs=3,
        action="append",
        required=True,
        metavar=("DIR", "NAME", "LICENCE"),
        help="a tree of shapes the run saw, what they are and their licence; once for each",
    )
    parser.add_argument(
        "--scores",
        nargs="+",
        action="append",
        default=[],
        metavar="SET JSON",
        help="name of a labelled set, reports on it of random weights and of these; once for each set",
    )
    parser.add_argument(
        "--k",
        type=int,
        help="neighbours per point that the file asks for, as its reports did (default: those of the training; clouds "
        "of more points than in training want more)",
    )
    parser.add_argument("--command", default="", help="the command line that made all of this, for the card")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder with a README.md (default: pretrained)")
    parser.add_argument("--overwrite", action="store_true", help="replace weights of this name")
    args = parser.parse_args(argv)
    if not args.name.replace("-", "").replace("_", "").isalnum():
        parser.error(f"--name {args.name}: expected letters, digits, - and _, such as dgcnn-open")
    if any(len(words) < 3 for words in args.scores):
        parser.error("--scores: expected the name of a set and at least two reports")
    return args


def main(args: argparse.Namespace) -> None:
    """Check all, then write the files and the table."""
    require_at_least(1, args, "k")
    card = args.out / f"{args.name}.json"
    if card.exists() and not args.overwrite:
        raise ValueError(f"{card} exists: choose another --name, or pass --overwrite to replace these weights")
    trees = [Tree(Path(folder), name, licence) for folder, name, licence in args.tree]
    test_sets = [TestSet(name, [Path(report) for report in reports]) for name, *reports in args.scores]
    found = ship(args.run, args.weights, args.name, trees, test_sets, args.out, k=args.k, command=args.command)
    print(
        f"wrote {args.out / args.name}.safetensors: {found['model']}, {found['bytes']} bytes, sha256 {found['sha256']}"
    )
    shapes = sum(source["shapes"] for source in found["sources"])
    print(f"wrote {card}: {shapes} shapes, {len(found['figures'])} figures")


if __name__ == "__main__":
    run_main(main, parse_args())
