"""Fine-tune a point encoder for classification, or score a fine-tuned network.

    python -m scripts.finetune_cls --exp_name ft_mn40 --dataset modelnet40 \
        --pretrained_path checkpoints/crosspoint/models/best_model.pth
    python -m scripts.finetune_cls --exp_name ft_so_5 --dataset scanobjectnn --variant obj_bg \
        --label_fraction 0.05 --steps 200
    python -m scripts.finetune_cls --exp_name ft_mn40 --eval --dataset modelnet40 --votes 10

Without --pretrained_path training starts from scratch. Writes checkpoints/<exp_name>/: config.json, run.log,
metrics.jsonl, last.pt (resume with --resume), models/best_model.pth; results.json and predictions.npz of the test
split, which is scored once, at the end. --select says how the epoch is chosen: on clouds held out of the labelled ones,
or the last.
"""

import argparse
from dataclasses import replace
from typing import NamedTuple

import torch

from datasets.labelled.labelled_clouds import LabelledClouds
from models.encoders.registry import check_neighbours
from models.methods.classification import Classification
from utils.classification.classifier_scores import score_classifier
from utils.classification.classifier_training import (
    ClassifierTraining,
    build_loader,
    build_network,
    load_start,
    opening_lines,
    plan_epochs,
)
from utils.classification.labelled_rows import LabelSettings, choose_rows
from utils.classification.recipes import CONSTANTS, ClassifierSettings
from utils.cli import run_main
from utils.evaluation.labelled_set import DATASETS, LabelledSetSettings, load_split
from utils.flags import add_flags, default_data_root, program_parser
from utils.output_files import check_report_path
from utils.processes.collectives import is_main_process
from utils.processes.launch import ProcessSettings, launch_notes, process_group
from utils.run.folder import RunSettings, goes_on, open_run
from utils.run.names import BEST_MODEL, PREDICTIONS_FILE, RESULTS_FILE, STATE_FILE
from utils.settings import read_all, record
from utils.training.finetuning import ScoreSettings, StartSettings


class ProgramSettings(NamedTuple):
    """All settings of this program."""

    run: RunSettings
    start: StartSettings
    labels: LabelSettings
    training: ClassifierSettings
    labelled: LabelledSetSettings
    scoring: ScoreSettings
    processes: ProcessSettings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags; constants of the recipe that are not given stay None."""
    parser = program_parser(__doc__)
    add_flags(parser, RunSettings, "run", exp_name="finetune_cls")
    add_flags(parser, StartSettings, "start, or test alone")
    add_flags(parser, LabelSettings, "labels")
    constants = dict.fromkeys(CONSTANTS)
    add_flags(parser, ClassifierSettings, "recipe (its constants are defaults) and network", num_workers=0, **constants)
    add_flags(parser, LabelledSetSettings, "data", data_root=default_data_root())
    add_flags(parser, ScoreSettings, "test", test_batch_size=32)
    add_flags(parser, ProcessSettings, "device and processes")
    ddp = parser.add_argument_group("as CrossPoint-DDP's users type them")
    ddp.add_argument("--ft_dataset", dest="dataset", type=str.lower, choices=DATASETS, default=argparse.SUPPRESS)
    ddp.add_argument("--num_ft_points", dest="num_points", type=int, default=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Fine-tune, then score the chosen epoch once on the test split; with --eval only score."""
    settings = read_all(ProgramSettings, vars(args))
    run, start, _, training, labelled, scoring, processes = settings
    check_report_path(scoring.json)
    with process_group(processes) as device:
        test = load_split(labelled, "test")  # before the training, so that a fault in it shows at once
        if not start.eval:
            train(settings, test, device)
        elif is_main_process():
            path = start.model_path or run.folder / BEST_MODEL
            score_classifier(path, training.model, test, labelled, scoring, device, json_file=scoring.json)


def train(settings: ProgramSettings, test: LabelledClouds, device: torch.device) -> None:
    """Fine-tune, and score the chosen epoch on the test split."""
    run, start, labels, training, labelled, scoring, processes = settings
    clouds = load_split(labelled, "train")
    num_classes = len(clouds.class_names)
    if labels.num_classes not in (None, num_classes):
        raise ValueError(f"--num_classes {labels.num_classes}, but {labelled.dataset} here has {num_classes}")
    if run.resume and start.pretrained_path and not goes_on(run):
        if is_main_process():
            missing = run.folder / STATE_FILE
            print(f"no {missing} to resume: starting from {start.pretrained_path}, as CrossPoint-DDP does")
        run = replace(run, resume=False)
    rows = choose_rows(clouds.labels, labels, training.seed)
    encoder = load_start(training, start.pretrained_path, device)
    check_neighbours(encoder.constants["model"], training.k, "num_points", labelled.num_points)
    network = build_network(encoder.encoder, num_classes, training)
    method = Classification(network, training.label_smoothing, training.transform_weight).to(device)
    epochs, length = plan_epochs(len(rows.fit), training)
    training = replace(training, model=encoder.constants["model"], epochs=epochs)
    loader = build_loader(clouds, rows.fit, length, training, device)
    lines = opening_lines(clouds, rows, loader, encoder, training, normalize=labelled.normalize)
    with open_run(run, record(*settings._replace(run=run, training=training))) as opened:
        for line in [*lines, *launch_notes(processes, training.batch_size)]:
            opened.log.line(line)
        data = {"clouds": clouds, "rows": rows, "test_batch_size": scoring.test_batch_size}
        trainer = ClassifierTraining(opened, training, method, loader, device, encoder=encoder.constants, **data)
        if run.resume:
            trainer.resume()
        trainer.fit()
        if is_main_process():
            best, json_file = run.folder / BEST_MODEL, scoring.json or run.folder / RESULTS_FILE
            files = {"json_file": json_file, "predictions_file": run.folder / PREDICTIONS_FILE}
            score_classifier(best, training.model, test, labelled, scoring, device, report=opened.log.line, **files)


if __name__ == "__main__":
    run_main(main, parse_args())
