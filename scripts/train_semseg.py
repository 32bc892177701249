"""Train SR-UNet for semantic segmentation of rooms, from scratch or pre-trained, or score a trained network.

    python -m scripts.train_semseg --exp_name s3dis --data_root S3DIS --dataset s3dis --test_area 5
    python -m scripts.train_semseg --exp_name rooms --data_root data/rooms --dataset scannet --voxel 0.05 --plan 14A \
        --batch_size 2 --steps 300 --lr 0.1 --probe linear --model_path checkpoints/scenes/models/best_model.pth
    python -m scripts.train_semseg --exp_name s3dis --eval --data_root S3DIS --votes 8
    python -m scripts.train_semseg --exp_name six_folds --data_root S3DIS --test_area all

Without --model_path training starts from scratch. S3DIS is tested on --test_area and trained on the other areas,
ScanNet on its lists val and train. The tested rooms are scored once, at the end, at all their points; the last network
is kept. Writes checkpoints/<exp_name>/: config.json, run.log, metrics.jsonl, last.pt (resume with --resume),
models/best_model.pth, results.json and room_clouds.npz, which scripts.report shows. With --test_area all there is such
a run for each area, area_<k>/, and results.json holds the scores of all areas together; --resume takes up what is not
finished. docs/semseg.md has the protocol.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets.scenes.room_sets import (
    ROOM_CLASSES,
    TEST,
    TRAIN,
    choose_rooms,
    list_split,
    read_labelled,
    require_labels,
    scored_split,
)
from datasets.scenes.scene import Scene
from datasets.scenes.training_rooms import ROOM_AUGMENT, TrainingRooms, collate_rooms
from datasets.transforms.colour_augment import ColourAugment
from models.distributed import get_rank, get_world_size
from models.methods.semantic_segmentation import RoomSegmentation
from utils.cli import run_main
from utils.evaluation.json_report import result_line, write_report
from utils.files import check_report_path
from utils.flags import add_flags, default_data_root, program_parser
from utils.processes.collectives import is_main_process
from utils.processes.launch import ProcessSettings, launch_notes, process_group
from utils.run.folder import RunSettings, goes_on, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE, ROOM_CLOUDS_FILE
from utils.run.provenance import weights_origin
from utils.semseg.folds import finished_records, fold_areas, fold_run, sum_folds
from utils.semseg.semseg_scores import score_room_network
from utils.semseg.semseg_settings import (
    ALL_AREAS,
    ROOM_CONSTANTS,
    ROOM_RECIPES,
    RoomScoreSettings,
    RoomSetSettings,
    SemsegSettings,
)
from utils.semseg.semseg_training import RoomTraining
from utils.semseg.semseg_weights import start_network
from utils.settings import read_all, record
from utils.training.epoch_loader import EpochLoader
from utils.training.finetuning import StartSettings

Reader = Callable[[Path, str], Scene]  # a room's folder and its data set
TRAINED = {
    "none": "the whole network",
    "linear": "its last layer alone",
    "linear_bn": "its last layer alone, on standardised features",
    "decoder": "its decoder alone",
}


class ProgramSettings(NamedTuple):
    """All settings of this program."""

    run: RunSettings
    start: StartSettings
    room_set: RoomSetSettings
    training: SemsegSettings
    scoring: RoomScoreSettings
    processes: ProcessSettings


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


def run_area(settings: ProgramSettings, device: torch.device, read: Reader = read_labelled) -> list[dict[str, Any]]:
    """Train and score, or only score; return the records, on the main process."""
    run, start, room_set, training, scoring, _ = settings
    test = read_rooms(room_set, TEST, training.seed, read)  # before the training, so that a fault in it shows at once
    if not start.eval:
        return train(settings, test, device, read)
    if not is_main_process():
        return []
    path = Path(start.model_path or run.folder / BEST_MODEL)
    data = describe_rooms(room_set) | {"voxel": training.voxel}
    return score_room_network(path, test, data, device, votes=scoring.votes, json_file=scoring.json)


def run_folds(settings: ProgramSettings, device: torch.device) -> None:
    """Run each area, take over those that are finished, and write the scores of all areas together."""
    run, start, room_set, training, scoring, _ = settings
    areas, folds, read = fold_areas(room_set, run), {}, cache(read_labelled)  # every room is needed for every area
    if start.model_path:
        raise ValueError(f"--model_path {start.model_path} with --test_area all: {run.folder} holds a network an area")
    for area in areas:
        fold = settings._replace(run=fold_run(run, area), room_set=replace(room_set, test_area=area))
        fold = fold._replace(scoring=replace(scoring, json=""))
        num_rooms = len(choose_rooms(list_train(fold.room_set), room_set.label_fraction, training.seed))
        planned = record(*fold._replace(training=training.for_rooms(room_set.dataset, num_rooms)))
        found = None if start.eval else finished_records(fold.run, planned, scoring.votes)
        if found and is_main_process():
            print(f"area {area}: finished before, {fold.run.folder}")
        folds[area] = found or run_area(fold, device, read)
    if is_main_process():
        records = sum_folds(folds)
        for row in records:
            for fold in row["areas"]:
                print(f"area {fold['test_area']}: mIoU {fold['miou']:.4f}, accuracy {fold['accuracy']:.4f}")
            print(result_line(row))
        write_report(scoring.json or ("" if start.eval else run.folder / RESULTS_FILE), records)


def list_train(room_set: RoomSetSettings) -> list[Path]:
    """List the folders of all rooms that may be trained on."""
    return list_split(Path(room_set.data_root), room_set.dataset, TRAIN, room_set.test_area)


def read_rooms(room_set: RoomSetSettings, split: str, seed: int, read: Reader) -> list[Scene]:
    """Read the rooms of a split, of those to train on the labelled share."""
    if split == TRAIN:
        folders = choose_rooms(list_train(room_set), room_set.label_fraction, seed)
    else:
        folders = list_split(Path(room_set.data_root), room_set.dataset, split, room_set.test_area)
    rooms = [read(folder, room_set.dataset) for folder in folders]
    require_labels(rooms, Path(room_set.data_root), split)
    return rooms


def describe_rooms(room_set: RoomSetSettings) -> dict[str, Any]:
    """Return what a weight file and a test must agree on."""
    area = room_set.test_area if room_set.dataset == "s3dis" else None
    return {"dataset": room_set.dataset, "test_area": area, "class_names": list(ROOM_CLASSES[room_set.dataset])}


def train(settings: ProgramSettings, test: list[Scene], device: torch.device, read: Reader) -> list[dict[str, Any]]:
    """Train, and score the last network on the held-out rooms; return the records, on the main process."""
    run, start, room_set, training, scoring, processes = settings
    rooms = read_rooms(room_set, TRAIN, training.seed, read)
    training = training.for_rooms(room_set.dataset, len(rooms))
    path = start.pretrained_path
    if path and goes_on(run) and not Path(path).is_file():
        path = ""  # a state holds all weights; the file only says the size of the first kernel, and is usually there
    network = start_network(path, len(ROOM_CLASSES[room_set.dataset]), training)
    method = RoomSegmentation(network, training.voxel, training.probe).to(device)
    draws = TrainingRooms(
        rooms,
        Path(room_set.data_root),
        seed=training.seed,
        length=training.epoch_draws,
        colours=ColourAugment(training.colour_shift, training.colour_jitter) if training.augment else None,
        augment=ROOM_AUGMENT if training.augment else None,
        crop=training.crop,
    )
    loader = EpochLoader(
        draws,
        training.batch_size,
        seed=training.seed,
        num_workers=training.num_workers,
        pin_memory=device.type == "cuda",
        rank=get_rank(),
        world_size=get_world_size(),
        collate=collate_rooms,
    )
    with open_run(run, record(*settings._replace(training=training))) as opened:
        report = opened.log.line
        report(f"start: {start.pretrained_path or 'from scratch'}; trained: {TRAINED[training.probe]}")
        steps = f"{training.epochs} epochs of {len(loader)} steps of {training.batch_size}"
        report(f"{len(rooms)} rooms to train on, {len(test)} to test on; {steps}, voxels of {training.voxel:g} m")
        notes = [f"note: {note}" for room in [*rooms, *test] for note in room.notes]
        for note in [*notes, *launch_notes(processes, training.batch_size)]:
            report(note)
        origin = describe_training(start, room_set, training, len(rooms))
        trainer = RoomTraining(opened, training, method, loader, device, origin=origin)
        if run.resume:
            trainer.resume()
        trainer.fit()
        if not is_main_process():
            return []
        path, json_file = run.folder / BEST_MODEL, scoring.json or run.folder / RESULTS_FILE
        data = describe_rooms(room_set)
        return score_room_network(
            path,
            test,
            data,
            device,
            votes=scoring.votes,
            report=report,
            json_file=json_file,
            clouds_file=run.folder / ROOM_CLOUDS_FILE,
        )


def describe_training(
    start: StartSettings, room_set: RoomSetSettings, training: SemsegSettings, num_train: int
) -> dict[str, Any]:
    """Describe how the network comes about, for its file and the records."""
    flags = asdict(training)
    kept = ("plan", "probe", "seed", *vars(ROOM_RECIPES[room_set.dataset]), *ROOM_CONSTANTS)
    rooms = describe_rooms(room_set)
    return {
        **rooms,
        "variant": f"Area {rooms['test_area']}" if rooms["test_area"] else None,
        "split": scored_split(room_set.dataset),
        **weights_origin(start.pretrained_path, training.seed),
        **{name: flags[name] for name in kept},
        "model": f"{training.model} {training.plan}",
        "label_fraction": room_set.label_fraction,
        "num_train": num_train,
        "selected_on": "last",
    }


if __name__ == "__main__":
    run_main(main, parse_args())
