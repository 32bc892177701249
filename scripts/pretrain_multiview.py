"""Pre-train a point encoder by a frozen image network: clouds match its views, points match their pixels.

    python -m scripts.pretrain_multiview --model dgcnn --teacher checkpoints/views/models/teacher_last.pth \
        --data_root data --exp_name multiview

Needs pairs of pixels and points: python -m data.render_views ... --pairs, or data.make_shapes --pairs. The teacher sees
every view once, before the training. Writes checkpoints/<exp_name>/ as train_crosspoint.py does, and the heads as
models/heads_last.pth; pixel_points.png shows what the contrast of pixels and points has learned. Defaults are the
published ones: 12 views of 32 x 32 pixels, 512 pairs, no augmentation.
Source: Tran et al. 2022, arXiv:2210.15904.
"""

import argparse

from models.encoders.registry import build_encoder
from models.methods.multiview import MultiView
from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.multiview.teacher import MultiViewSettings, TaughtPairs
from utils.pretraining.program import FLAG_GROUPS, PretrainingSettings, Report, load_start, pretrain
from utils.settings import read_all

DEFAULTS = {
    "run": {"exp_name": "multiview"},
    "training": {"epochs": 400, "scheduler": "step", "weight_decay": 0.0, "save_freq": 100},
    "data": {"data_root": default_data_root(), "batch_size": 32, "num_points": 1024, "image_size": 32},
    "augmentation": {"rotation": "none", "max_scale": 1.0, "translation": 0.0, "max_dropout": 0.0},
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags, with the published code's defaults."""
    parser = program_parser(__doc__)
    add_flags(parser, MultiViewSettings, "method")
    for title, settings in FLAG_GROUPS.items():
        add_flags(parser, settings, title, **DEFAULTS.get(title, {}))
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Train, then score the best model once on the test split; with --eval only score."""
    common, settings = read_all(PretrainingSettings, vars(args)), MultiViewSettings.read(vars(args))
    taught, model = TaughtPairs(settings), common.model

    def build_method(report: Report) -> MultiView:
        start = load_start(common, report)
        encoder = start.encoder if start else build_encoder(model.model, model.k, model.emb_dims)
        return taught.build_method(encoder, model.k)

    def draw(report: Report) -> None:
        from utils.multiview.pixel_pictures import try_draw_pixel_points  # late: matplotlib, only needed at the end

        if settings.local_weight:
            try_draw_pixel_points(common.run.folder, taught, report)

    pretrain(common, settings, build_method, open_data=taught.open, finish=draw)


if __name__ == "__main__":
    run_main(main, parse_args())
