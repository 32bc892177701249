"""A semantic segmentation of rooms from its settings to its scores: one held-out area, or ScanNet's lists."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets.scenes.room_blocks import list_places
from datasets.scenes.room_sets import ROOM_CLASSES, TEST, TRAIN, scored_split
from datasets.scenes.scene import Scene
from utils.processes.collectives import is_main_process
from utils.processes.launch import ProcessSettings, launch_notes
from utils.run.folder import RunSettings, goes_on, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE, ROOM_CLOUDS_FILE
from utils.run.provenance import weights_origin
from utils.semseg.semseg_rooms import Reader, count_train, describe_rooms, doubts_of, read_rooms, reader_for
from utils.semseg.semseg_scores import score_room_network
from utils.semseg.semseg_settings import RoomScoreSettings, RoomSetSettings, SemsegSettings, published
from utils.semseg.semseg_training import (
    TRAINED,
    BlockTraining,
    RoomTraining,
    build_block_training,
    build_loader,
    build_voxel_training,
)
from utils.semseg.voxel_rooms import require_extent
from utils.settings import record
from utils.training.finetuning import StartSettings

FORM = ("voxel", "num_points", "block_size", "k")  # what a test has to share with the training


class ProgramSettings(NamedTuple):
    """All settings of scripts.train_semseg."""

    run: RunSettings
    start: StartSettings
    room_set: RoomSetSettings
    training: SemsegSettings
    scoring: RoomScoreSettings
    processes: ProcessSettings


def run_area(settings: ProgramSettings, device: torch.device, read: Reader | None = None) -> list[dict[str, Any]]:
    """Train and score, or only score; return the records, on the main process.

    `read` reads a room; None: as `reader_for` says.
    """
    run, start, room_set, training, scoring, _ = settings
    read = read or reader_for(training)
    if not start.eval:  # refuses flags before rooms are read, which takes long
        settings = settings._replace(
            training=training.for_rooms(room_set.dataset, count_train(room_set, training.seed))
        )
    test = read_rooms(room_set, TEST, training.seed, read)  # before the training, so that a fault in it shows at once
    if not start.eval:
        return train(settings, test, device, read)
    if not is_main_process():
        return []
    for doubt in doubts_of(test):
        print(doubt)
    path = Path(start.model_path or run.folder / BEST_MODEL)
    data = describe_rooms(room_set) | {name: getattr(training, name) for name in FORM}
    data["model"] = training.model if training.is_by_blocks else None
    options = {"block_stride": training.block_stride, "votes": scoring.votes, "json_file": scoring.json}
    return score_room_network(path, test, data, device, **options)


def train(settings: ProgramSettings, test: list[Scene], device: torch.device, read: Reader) -> list[dict[str, Any]]:
    """Train, and score the last network on the held-out rooms; return the records, on the main process.

    The settings of the training are those `for_rooms`.
    """
    run, start, room_set, training, scoring, processes = settings
    rooms = read_rooms(room_set, TRAIN, training.seed, read)
    path = start.pretrained_path
    if path and goes_on(run) and not Path(path).is_file():
        path = ""  # a state holds all weights; the file only says the size of the first kernel, and is usually there
    root, num_classes = Path(room_set.data_root), len(ROOM_CLASSES[room_set.dataset])
    if training.is_by_blocks:
        list_places(test, root, training.block_form)  # so that rooms without blocks show before the training
    else:
        for room in [*test, *([] if training.crop else rooms)]:
            require_extent(room, training.voxel)
    build = build_block_training if training.is_by_blocks else build_voxel_training
    method, draws, started = build(rooms, root, num_classes, path, training)
    loader = build_loader(draws, training, device)
    started = started if path else start.pretrained_path or started
    with open_run(run, record(*settings)) as opened:
        report = opened.log.line
        report(f"start: {started}; trained: {TRAINED[training.probe]}")
        steps = f"{training.epochs} epochs of {len(loader)} steps of {training.batch_size}"
        report(f"{len(rooms)} rooms to train on, {len(test)} to test on; {steps}, {form_words(training)}")
        notes = [f"note: {note}" for room in [*rooms, *test] for note in room.notes]
        for note in [*notes, *doubts_of([*rooms, *test]), *launch_notes(processes, training.batch_size)]:
            report(note)
        origin = describe_training(start, room_set, training, len(rooms))
        kind = BlockTraining if training.is_by_blocks else RoomTraining
        trainer = kind(opened, training, method.to(device), loader, device, origin=origin)
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
    flags, rooms = asdict(training), describe_rooms(room_set)
    own = ("epochs",) if training.is_by_blocks else ("plan",)
    kept = (*own, "probe", "seed", *published(training.model, room_set.dataset))
    return {
        **rooms,
        "variant": f"Area {rooms['test_area']}" if rooms["test_area"] else None,
        "split": scored_split(room_set.dataset),
        **weights_origin(start.pretrained_path, training.seed),
        **{name: flags[name] for name in kept},
        "model": training.model if training.is_by_blocks else f"{training.model} {training.plan}",
        "label_fraction": room_set.label_fraction,
        "num_train": num_train,
        "selected_on": "last",
    }


def form_words(training: SemsegSettings) -> str:
    """Say in what form the network sees rooms."""
    if not training.is_by_blocks:
        return f"voxels of {training.voxel:g} m"
    size, stride, num_points = training.block_form
    return f"{num_points} points of blocks of {size:g} m, scored every {stride:g} m"
