"""Score a frozen encoder by a linear SVM (published and fair protocol) and by its nearest neighbour.

    python -m scripts.eval_svm --model_path checkpoints/crosspoint/models/best_model.pth --dataset modelnet40
    python -m scripts.eval_svm --random_init --dataset scanobjectnn --variant obj_bg --json results.json

Train split fits, test split scores, once. Prints every constant, then one line for each protocol that starts with
`result`. Compare a pre-trained encoder with --random_init under the same protocol.
"""

import argparse

from utils.cli import run_main
from utils.evaluation.encoder_scores import score_encoder
from utils.evaluation.frozen_encoder import add_dataset_args, add_encoder_args, load_frozen_encoder
from utils.evaluation.json_report import check_report_path, write_report
from utils.evaluation.linear_svm import PUBLISHED_C
from utils.evaluation.protocols import PROTOCOLS
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device


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


def main(args: argparse.Namespace) -> None:
    """Load, score, report; what can be refused is refused before the encoder runs."""
    if args.c <= 0:
        raise ValueError(f"--c must be > 0, got {args.c}")
    if args.json:
        check_report_path(args.json)
    device = get_device(args.device)
    keep_freed_memory(device)
    records = score_encoder(args, load_frozen_encoder(args, device), device)
    if args.json:
        write_report(args.json, records)


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
