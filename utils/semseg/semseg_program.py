"""A semantic segmentation of rooms from its settings to its scores: one held-out area, or ScanNet's lists."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets.scenes.room_sets import ROOM_CLASSES, TEST, TRAIN, read_labelled, scored_split
from datasets.scenes.scene import Scene
from datasets.scenes.training_rooms import ROOM_AUGMENT, TrainingRooms, collate_rooms
from datasets.transforms.colour_augment import ColourAugment
from models.distributed import get_rank, get_world_size
from models.methods.semantic_segmentation import RoomSegmentation
from utils.processes.collectives import is_main_process
from utils.processes.launch import ProcessSettings, launch_notes
from utils.run.folder import RunSettings, goes_on, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE, ROOM_CLOUDS_FILE
from utils.run.provenance import weights_origin
from utils.semseg.semseg_rooms import Reader, describe_rooms, read_rooms
from utils.semseg.semseg_scores import score_room_network
from utils.semseg.semseg_settings import (
    ROOM_CONSTANTS,
    ROOM_RECIPES,
    RoomScoreSettings,
    RoomSetSettings,
    SemsegSettings,
)
from utils.semseg.semseg_training import RoomTraining
from utils.semseg.semseg_weights import start_network
from utils.settings import record
from utils.training.epoch_loader import EpochLoader
from utils.training.finetuning import StartSettings

TRAINED = {
    "none": "the whole network",
    "linear": "its last layer alone",
    "linear_bn": "its last layer alone, on standardised features",
    "decoder": "its decoder alone",
}


class ProgramSettings(NamedTuple):
    """All settings of scripts.train_semseg."""

    run: RunSettings
    start: StartSettings
    room_set: RoomSetSettings
    training: SemsegSettings
    scoring: RoomScoreSettings
    processes: ProcessSettings


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
