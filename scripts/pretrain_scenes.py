"""Pre-train SR-UNet on overlapping RGB-D frames of rooms, by a frozen image network or by matched points.

    python -m scripts.pretrain_scenes --data_root data/scannet --teacher imagenet --exp_name scenes
    python -m scripts.pretrain_scenes --data_root data/scannet --loss point_info_nce --exp_name point_contrast

Reads DATA_ROOT/scans/<scene>/ in ScanNet's layout with exported frames (docs/scene_pretraining.md). Writes
checkpoints/<exp_name>/ as train_crosspoint.py does; models/best_model.pth is the last network without its last layer,
models/heads_last.pth what the loss adds to it. Nothing scores the network between epochs.
Sources: Tran et al. 2022, arXiv:2210.15904; Xie et al. 2020 (PointContrast), arXiv:2007.10985.
"""

import argparse

from models.methods.method import Method
from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.pretraining.pretrainer import PretrainSettings
from utils.pretraining.program import Report, pretrain
from utils.processes.launch import ProcessSettings
from utils.run.folder import RunSettings
from utils.scenes.scene_pretraining import (
    SceneData,
    SceneLossSettings,
    SceneModelSettings,
    ScenePairSettings,
    ScenePretrainingSettings,
)
from utils.settings import read_all
from utils.training.bad_samples import BadSampleSettings

OPTIMISER = {"epochs": 10, "use_sgd": True, "lr": 0.1, "scheduler": "exp", "weight_decay": 1e-4, "save_freq": 0}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags, with the published defaults where there are any."""
    parser = program_parser(__doc__)
    add_flags(parser, SceneLossSettings, "method")
    add_flags(parser, RunSettings, "run", exp_name="scenes")
    add_flags(parser, SceneModelSettings, "network")
    add_flags(parser, PretrainSettings, "training", **OPTIMISER)
    add_flags(parser, ScenePairSettings, "data", data_root=default_data_root())
    add_flags(parser, BadSampleSettings, "bad data")
    add_flags(parser, ProcessSettings, "device and processes")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Train, or go on with a training."""
    common, settings = read_all(ScenePretrainingSettings, vars(args)), SceneLossSettings.read(vars(args))
    data = SceneData(settings)

    def build_method(report: Report) -> Method:
        return data.build_method(common.model)

    pretrain(common, settings, build_method, open_data=data.open, has_scores=False)


if __name__ == "__main__":
    run_main(main, parse_args())
