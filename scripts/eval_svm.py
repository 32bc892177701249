"""Score a frozen encoder by SVMs and by its nearest neighbour.

    python -m scripts.eval_svm --model_path checkpoints/crosspoint/models/best_model.pth --dataset modelnet40
    python -m scripts.eval_svm --random_init --dataset scanobjectnn --variant obj_bg --json results.json
    python -m scripts.eval_svm --model_path checkpoints/pixels/models/best_model.pth --protocol multiview

By default a linear SVM (published and fair protocol) and the nearest neighbour; --protocol multiview: a linear SVM with
C = 1, one with an RBF kernel, and the latter with gamma and C chosen by cross-validation on train.
The train split fits; the test split scores, once. Prints every constant, then for each protocol one line that starts
with `result`. Compare a pre-trained encoder with --random_init under the same protocol.
"""

import argparse

from utils.cli import run_main
from utils.evaluation.encoder_scores import ProtocolSettings, score_encoder
from utils.evaluation.frozen_encoder import EncoderSettings, FeatureSettings, load_frozen_encoder
from utils.evaluation.json_report import write_report
from utils.evaluation.labelled_set import LabelledSetSettings
from utils.flags import add_device_arg, add_flags, default_data_root, program_parser
from utils.output_files import check_report_path
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the encoder, of the data and of the protocols."""
    parser = program_parser(__doc__)
    add_flags(parser, EncoderSettings, "encoder", either=("model_path", "random_init"))
    add_flags(parser, FeatureSettings, "features")
    add_device_arg(parser)
    add_flags(parser, LabelledSetSettings, "data", data_root=default_data_root())
    add_flags(parser, ProtocolSettings, "protocols")
    parser.add_argument("--json", help="also write the results to this file")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Load, score and report; refuse bad flags before the encoder runs."""
    flags = vars(args)
    encoder, features, labelled, protocols = (
        kind.read(flags) for kind in (EncoderSettings, FeatureSettings, LabelledSetSettings, ProtocolSettings)
    )
    check_report_path(args.json)
    device = get_device(args.device)
    keep_freed_memory(device)
    frozen = load_frozen_encoder(encoder, device)
    records = score_encoder(labelled, features, protocols, frozen, device, seed=encoder.seed)
    write_report(args.json, records)


if __name__ == "__main__":
    run_main(main, parse_args())
