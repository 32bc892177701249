"""Fine-tune a pre-trained point encoder for part segmentation on ShapeNetPart, or score a fine-tuned network.

    python train_partseg.py --exp_name dgcnn_partseg --pretrained_path dgcnn_partseg_best.pth \
        --batch_size 8 --k 40 --test_batch_size 8 --epochs 300
    python train_partseg.py --eval --model_path checkpoints/dgcnn_partseg/models/best_model.pth

Reads DATA_ROOT/shapenet_part_seg_hdf5_data, or a set of your own in that layout with --parts; writes
checkpoints/<exp_name>/: config.json, run.log, metrics.jsonl, last.pt (resume with --resume), models/best_model.pth
under the published names, and of the test split results.json, part_clouds.npz and parts.png (true and predicted parts).
--eval prints, and with --json DIR/NAME.json also writes that file, DIR/NAME_part_clouds.npz and DIR/NAME_parts.png.
By default val chooses the best epoch and train is trained on; --select last trains on both, as published. The
published code chose its epoch on test; nothing here does.
Source: Afham et al. 2022, arXiv:2203.00680.
"""

import argparse
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets.parts.part_table import part_names
from datasets.parts.part_task import PartTask
from datasets.parts.shuffled_parts import ShuffledParts
from models.encoders.registry import check_neighbours
from models.methods.part_segmentation import PartSegmentation
from utils import seed
from utils.classification.recipes import PUBLISHED_PARTS
from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.inference.input_transform import describe_training_clouds
from utils.output_files import check_report_path
from utils.parts.part_clouds import PartSetSettings, read_training_clouds
from utils.parts.part_results import PartScoreSettings, score_part_network
from utils.parts.part_training import PartSegTraining, PartSettings
from utils.parts.part_weights import build_for, load_part_network, origin_of, start_from
from utils.processes.collectives import is_main_process
from utils.processes.launch import ProcessSettings, launch_notes, process_group
from utils.run.folder import RunSettings, goes_on, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE
from utils.run.provenance import weights_origin
from utils.settings import read_all, record
from utils.training.epoch_loader import EpochLoader
from utils.training.finetuning import StartSettings


class ProgramSettings(NamedTuple):
    """All settings of this program."""

    run: RunSettings
    start: StartSettings
    part_set: PartSetSettings
    training: PartSettings
    scoring: PartScoreSettings
    processes: ProcessSettings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse flags as CrossPoint's users type them, with the published code's defaults, and ours."""
    parser = program_parser(__doc__)
    add_flags(parser, RunSettings, "run")
    add_flags(parser, StartSettings, "start, or test alone")
    add_flags(parser, PartSetSettings, "data", data_root=default_data_root())
    add_flags(parser, PartSettings, "training", epochs=200, batch_size=32, k=40)
    add_flags(parser, PartScoreSettings, "test", votes=1)
    add_flags(parser, ProcessSettings, "device and processes")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Fine-tune and test; with --eval only test."""
    settings = read_all(ProgramSettings, vars(args))
    check_report_path(settings.scoring.json)
    with process_group(settings.processes) as device:
        if not settings.start.eval:
            train(settings, device)
        elif is_main_process():
            evaluate(settings, device)


def evaluate(settings: ProgramSettings, device: torch.device) -> None:
    """Score a fine-tuned network on the test split."""
    run, start, part_set, training, scoring, _ = settings
    asked = PartTask.from_flags(part_set.parts, "") if part_set.parts else None
    path = Path(start.model_path or run.folder / BEST_MODEL)
    trained = load_part_network(path, training.model, training.k, asked)
    category = trained.task.tested_on(part_set.class_choice)
    test = trained.task.read(part_set.data_root, "test", num_points=part_set.num_points, category=category)
    json_file = Path(scoring.json) if scoring.json else None
    files = {"json_file": json_file, "examples": f"{json_file.with_suffix('')}_" if json_file else ""}
    score_part_network(trained, test, training, scoring, device, category=category, **files)


def train(settings: ProgramSettings, device: torch.device) -> None:
    """Fine-tune, then score the chosen epoch once on the test split."""
    run, start, part_set, training, scoring, processes = settings
    task = PartTask.from_flags(part_set.parts, part_set.class_choice)
    part_set = replace(part_set, class_choice=task.class_choice)
    check_neighbours(training.model, training.k, "num_points", part_set.num_points)
    # Read before the training, so that a fault in the test split shows at once.
    test = task.read(part_set.data_root, "test", num_points=part_set.num_points)
    seed.everything(training.seed)
    network = build_for(task, training.model, training.k, training.emb_dims, training.dropout)
    is_going_on = goes_on(run)
    started = ["weights: from scratch"]
    if start.pretrained_path and not is_going_on:
        loaded = start_from(network, start.pretrained_path, training.model, training.k)
        started = [f"{start.pretrained_path}: {loaded.report}"]
        if training.graph_k is not None and loaded.stored_k not in (None, training.k):
            text = f"--k {training.k}, but {start.pretrained_path} was trained with k {loaded.stored_k}"
            started.append(f"warning: {text}")
    clouds, val = read_training_clouds(task, part_set, training.seed)
    loader = EpochLoader.of_rank(ShuffledParts(clouds, training.seed), training, device)
    if training.steps:
        training = replace(training, epochs=math.ceil(training.steps / len(loader)))
    method = PartSegmentation(network, training.transform_weight).to(device)
    recorded = record(*settings._replace(part_set=part_set, training=training))
    if part_set.parts:
        recorded.flags["parts"] = part_names(task.table)  # what the file says; the file may change
    described = describe_training_clouds(clouds.points.numpy(), normalize=False)
    origin = origin_of(task, describe_training(start, part_set, training, len(clouds)), described)
    with open_run(run, recorded) as opened:
        report = opened.log.line
        report(f"{len(clouds)} clouds, {len(loader)} steps an epoch, {training.model} on {device}")
        for note in launch_notes(processes, training.batch_size):
            report(note)
        options = {"val": val, "origin": origin, "test_batch_size": scoring.test_batch_size}
        trainer = PartSegTraining(opened, training, method, loader, device, **options)
        for line in [] if is_going_on else started:
            report(line)
        if run.resume:
            trainer.resume()
        trainer.fit()
        if is_main_process():
            trained = load_part_network(run.folder / BEST_MODEL, training.model, training.k)
            files = {"json_file": Path(scoring.json or run.folder / RESULTS_FILE), "examples": f"{run.folder}/"}
            options = {"report": report, "category": task.class_choice}
            score_part_network(trained, test, training, scoring, device, **options, **files)


def describe_training(
    start: StartSettings, part_set: PartSetSettings, training: PartSettings, num_train: int
) -> dict[str, Any]:
    """Describe how the network comes about, for the records."""
    flags = asdict(training) | {"class_choice": part_set.class_choice}
    return {
        **weights_origin(start.pretrained_path, training.seed),
        "seed": training.seed,
        "label_fraction": part_set.label_fraction,
        "num_train": num_train,
        "selected_on": part_set.select,
        **{name: flags[name] for name in PUBLISHED_PARTS if name != "selected_on"},
    }


if __name__ == "__main__":
    run_main(main, parse_args())
