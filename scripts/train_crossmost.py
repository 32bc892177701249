"""Adapt text-aligned towers to shapes without labels: both learn what their moving average tells with confidence.

    python -m scripts.train_crossmost --towers checkpoints/aligned/models/towers_best.pth \
        --classes chair,table,"floor lamp" --data_root MY_SHAPES --exp_name crossmost

Reads clouds and views below DATA_ROOT, or of --packed FILE, and no label: the names of classes are all it is told.
Writes checkpoints/<exp_name>/: config.json, run.log, metrics.jsonl, last.pt (resume with --resume), and the last
models/student_last.pth and teacher_last.pth with their classifiers, which scripts.eval_zeroshot scores on any labelled
set. --labels chooses a baseline. Defaults are the published ones, for four large GPUs.
Source: CrossMoST, arXiv:2404.10146; corrected where docs/crossmost.md says so, literally with --published_losses.
"""

import argparse
from dataclasses import replace
from typing import NamedTuple

from models.distributed import get_world_size
from utils import seed
from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.pretraining.pair_loader import AugmentSettings
from utils.processes.launch import ProcessSettings, launch_notes, process_group
from utils.run.folder import RunSettings, open_run
from utils.settings import read_all, record
from utils.texts.self_trainer import SelfTraining, SelfTrainSettings
from utils.texts.self_training_data import (
    SelfTrainingSettings,
    UnlabelledSettings,
    load_start,
    open_unlabelled,
    start_origin,
)
from utils.training.bad_samples import BadSampleSettings


class ProgramSettings(NamedTuple):
    """All settings of this program."""

    run: RunSettings
    own: SelfTrainingSettings
    training: SelfTrainSettings
    data: UnlabelledSettings
    augment: AugmentSettings
    bad_samples: BadSampleSettings
    processes: ProcessSettings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags, with the published defaults for ModelNet40."""
    parser = program_parser(__doc__)
    add_flags(parser, RunSettings, "run", exp_name="crossmost")
    add_flags(parser, SelfTrainingSettings, "method")
    add_flags(parser, SelfTrainSettings, "training", epochs=200)
    sizes = {"batch_size": 512, "num_points": 8192}
    add_flags(parser, UnlabelledSettings, "data", data_root=default_data_root(), **sizes)
    add_flags(parser, AugmentSettings, "strong augmentation of clouds")
    add_flags(parser, BadSampleSettings, "bad data")
    add_flags(parser, ProcessSettings, "device and processes")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Train, or go on with a training."""
    settings = read_all(ProgramSettings, vars(args))
    run, own, training, data, augment, bad_samples, processes = settings
    with process_group(processes) as device:
        seed.everything(training.seed)
        towers = load_start(own)
        place = {"seed": training.seed, "pin_memory": device.type == "cuda"}
        loader = open_unlabelled(data, augment, bad_samples, own, towers, **place)
        if training.steps is not None:
            training = replace(training, epochs=-(-training.steps // len(loader)))
        method = own.build_method(towers).to(device)
        recorded = record(*settings)
        encoder = towers.describe()["point"]  # by which last.pt is read as an encoder's
        classes = ",".join(towers.class_names)
        recorded.flags.update(start_origin(own) | encoder, epochs=training.epochs, classes=classes)
        several = f", {get_world_size()} processes" if get_world_size() > 1 else ""
        shapes = f"{len(loader.dataset)} shapes, {len(loader)} steps an epoch, {training.epochs} epochs"
        names = f"{len(towers.class_names)} classes: {', '.join(towers.class_names)}"
        with open_run(run, recorded, wandb=training.wandb) as opened:
            notes = [f"{shapes} on {device}{several}", names, *method.notes, *launch_notes(processes, data.batch_size)]
            for line in notes:
                opened.log.line(line)
            options = {"max_bad_rate": bad_samples.max_bad_rate}
            trainer = SelfTraining(opened, training, method, loader, device, **options)
            if run.resume:
                trainer.resume()
            trainer.fit()


if __name__ == "__main__":
    run_main(main, parse_args())
