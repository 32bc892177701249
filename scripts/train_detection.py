"""Train VoteNet to detect objects in rooms, from scratch or on a pre-trained SR-UNet, and score it on val.

    python -m scripts.train_detection --exp_name votenet --data_root data/rooms --dataset scannet
    python -m scripts.train_detection --exp_name sr_unet --data_root data/rooms --dataset scannet \
        --backbone sr_unet --model_path checkpoints/rooms/models/best_model.pth

Reads DATA_ROOT/scans and scannetv2_{train,val}.txt, or DATA_ROOT/sunrgbd_pc_bbox_votes_50k_v1_{train,val} of VoteNet's
preparation. Writes checkpoints/<exp_name>/: config.json, run.log, metrics.jsonl, last.pt (resume with --resume),
models/best_model.pth, the network of the last epoch; results.json with mAP and AR at overlaps of 0.25 and 0.5, and
boxes.png. val is scored once, at the end, and chooses nothing. --resume in a finished run scores it again.
Source: Qi et al. 2019, arXiv:1904.09664; with SR-UNet Xie et al. 2020, arXiv:2007.10985.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets.detection.boxed_rooms import require_boxes
from datasets.scenes.room_sets import refuse_shared
from datasets.scenes.scene import height_doubts
from models.methods.detection import Detection
from utils import seed
from utils.cli import run_main
from utils.detection.detection_data import AugmentedRooms, scored_scenes
from utils.detection.detector_results import score_detector
from utils.detection.detector_training import (
    PUBLISHED_POINTS,
    DetectorScoreSettings,
    DetectorSettings,
    DetectorTraining,
    RoomSettings,
    build_detector,
    sizes_of,
)
from utils.flags import add_flags, default_data_root, program_parser
from utils.output_files import check_report_path
from utils.processes.collectives import is_main_process
from utils.processes.launch import ProcessSettings, launch_notes, process_group
from utils.run.folder import RunSettings, open_run
from utils.run.names import RESULTS_FILE
from utils.run.provenance import weights_origin
from utils.settings import read_all, record
from utils.training.epoch_loader import EpochLoader


class ProgramSettings(NamedTuple):
    """All settings of this program."""

    run: RunSettings
    rooms: RoomSettings
    training: DetectorSettings
    scoring: DetectorScoreSettings
    processes: ProcessSettings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags; the defaults are those of the published training."""
    parser = program_parser(__doc__)
    add_flags(parser, RunSettings, "run", exp_name="detection")
    add_flags(parser, RoomSettings, "data", data_root=default_data_root())
    add_flags(parser, DetectorSettings, "network and training")
    add_flags(parser, DetectorScoreSettings, "scores")
    add_flags(parser, ProcessSettings, "device and processes")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Train, then score the last network on val."""
    settings = read_all(ProgramSettings, vars(args))
    check_report_path(settings.scoring.json)
    with process_group(settings.processes) as device:
        train(settings, device)


def train(settings: ProgramSettings, device: torch.device) -> None:
    """Train a detector and score it."""
    settings.training.require_plan()
    run, rooms, training, scoring, processes = settings._replace(training=settings.training.filled())
    inputs = rooms.inputs or ("height" if training.backbone == "pointnet2" else "colour")
    rooms = replace(rooms, num_points=rooms.num_points or PUBLISHED_POINTS[rooms.dataset], inputs=inputs)
    train_rooms, val_rooms = rooms.rooms("train"), rooms.rooms("val")
    refuse_shared(train_rooms.source, train_rooms.names, val_rooms.source, val_rooms.names)
    heights = {}
    for found, split in ((train_rooms, "train"), (val_rooms, "val")):  # now, not after hours of training
        reads_all = split == "val" and not run.resume
        heights |= require_boxes(found, split, with_colours=inputs == "colour", read_all=reads_all)
    draws = AugmentedRooms(train_rooms, rooms.num_points, inputs, training.seed)
    loader = EpochLoader.of_rank(draws, training, device)
    if training.steps:
        training = replace(training, epochs=math.ceil(training.steps / len(loader)))
    with open_run(run, record(*settings._replace(rooms=rooms, training=training))) as opened:
        report = opened.log.line
        report(f"{len(train_rooms)} scenes, {len(loader)} steps an epoch, {training.backbone} on {device}")
        notes = [f"note: {doubt}" for doubt in height_doubts(heights)]
        for note in [*notes, *launch_notes(processes, training.batch_size)]:
            report(note)
        sizes = sizes_of(train_rooms, training, report)
        seed.everything(training.seed)
        network = build_detector(train_rooms.kind, sizes, training, inputs)
        trainer = DetectorTraining(opened, training, Detection(network).to(device), loader, device)
        if run.resume:
            trainer.resume()
        trainer.fit()
        if is_main_process():
            scenes = scored_scenes(val_rooms, rooms.num_points, inputs)
            constants = describe_training(rooms, training, len(train_rooms)) | {"mean_sizes_m": sizes}
            if training.backbone == "sr_unet":
                constants["plan"] = network.backbone_net.unet.plan  # of --model_path its own
            files = {"json_file": Path(scoring.json or run.folder / RESULTS_FILE), "folder": run.folder}
            score_detector(network, val_rooms, scenes, scoring, device, report=report, **files, **constants)


def describe_training(rooms: RoomSettings, training: DetectorSettings, num_train: int) -> dict[str, Any]:
    """Describe how the network comes about, for the records."""
    is_sparse = training.backbone == "sr_unet"
    names = ("epochs", "batch_size", "lr", "num_proposals", "detach_votes", "mean_sizes", "seed")
    names += ("voxel_size",) if is_sparse else ()
    return {
        "dataset": rooms.dataset,
        "model": training.backbone,
        "k": None,
        "num_points": rooms.num_points,
        "normalize": False,
        "inputs": rooms.inputs,
        "num_train": num_train,
        **weights_origin(training.model_path, training.seed),
        **{name: getattr(training, name) for name in names},
    }


if __name__ == "__main__":
    run_main(main, parse_args())
