"""Train a network for semantic segmentation of rooms, from scratch or pre-trained, or score a trained one.

    python -m scripts.train_semseg --exp_name s3dis --data_root S3DIS --dataset s3dis --test_area 5
    python -m scripts.train_semseg --exp_name rooms --data_root data/rooms --dataset scannet --voxel 0.05 --plan 14A \
        --batch_size 2 --steps 300 --lr 0.1 --probe linear --model_path checkpoints/scenes/models/best_model.pth
    python -m scripts.train_semseg --exp_name s3dis --eval --data_root S3DIS --votes 8
    python -m scripts.train_semseg --exp_name six_folds --data_root S3DIS --test_area all
    python -m scripts.train_semseg --exp_name blocks --data_root S3DIS --model dgcnn --test_area 5

SR-UNet sees rooms as voxels, dgcnn and pointnet see blocks of 1 m, 4,096 points of each, and are scored over blocks,
as published, and over whole rooms.
Without --model_path training starts from scratch. S3DIS is tested on --test_area and trained on the other areas,
ScanNet on its lists val and train. The tested rooms are scored once, at the end, at all their points; the last network
is kept. Writes checkpoints/<exp_name>/: config.json, run.log, metrics.jsonl, last.pt (resume with --resume),
models/best_model.pth, results.json and room_clouds.npz, which scripts.report shows. With --test_area all there is such
a run for each area, area_<k>/, and results.json holds the scores of all areas together; --resume takes up what is not
finished. docs/semseg.md has the protocol.
"""

import argparse

from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.output_files import check_report_path
from utils.processes.launch import ProcessSettings, process_group
from utils.run.folder import RunSettings
from utils.semseg.folds import run_folds
from utils.semseg.semseg_program import ProgramSettings, run_area
from utils.semseg.semseg_settings import ALL_AREAS, RoomScoreSettings, RoomSetSettings, SemsegSettings
from utils.settings import read_all
from utils.training.finetuning import StartSettings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags; constants of the data set that are not given stay None."""
    parser = program_parser(__doc__)
    add_flags(parser, RunSettings, "run", exp_name="train_semseg")
    add_flags(parser, StartSettings, "start, or test alone")
    add_flags(parser, RoomSetSettings, "data", data_root=default_data_root())
    add_flags(parser, SemsegSettings, "network and training")
    add_flags(parser, RoomScoreSettings, "test")
    add_flags(parser, ProcessSettings, "device and processes")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Train, then score the last network once on the held-out rooms; with --eval only score."""
    settings = read_all(ProgramSettings, vars(args))
    check_report_path(settings.scoring.json)
    with process_group(settings.processes) as device:
        if settings.room_set.test_area == ALL_AREAS:
            run_folds(settings, device)
        else:
            run_area(settings, device)


if __name__ == "__main__":
    run_main(main, parse_args())
