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
from pathlib import Path

import torch

from datasets.labelled.labelled_clouds import LabelledClouds
from models.encoders.registry import ENCODERS
from models.methods.classification import Classification
from utils.classification.classifier_test_split import score_classifier
from utils.classification.classifier_training import (
    ClassifierTraining,
    build_loader,
    build_network,
    choose_rows,
    load_for_test,
    load_start,
    opening_lines,
    plan_epochs,
)
from utils.classification.recipes import add_recipe_args, apply_recipe, check_recipe
from utils.cli import run_main
from utils.evaluation.frozen_encoder import DATASETS, add_dataset_args, load_split
from utils.evaluation.json_report import check_report_path
from utils.flags import add_device_arg, add_save_arg, require_at_least, seed_number, settle_start
from utils.processes import launch
from utils.processes.allocator import keep_freed_memory
from utils.processes.collectives import is_main_process
from utils.run.folder import open_log, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE, STATE_FILE
from utils.run.state import has_state


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Flags of the start, the labels, the data, the recipe and the reports; the recipe's constants are filled in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp_name", default="finetune_cls", help="run folder: <output_dir>/<exp_name>")
    parser.add_argument("--output_dir", default="checkpoints")
    parser.add_argument("--pretrained_path", default="", help="encoder weights to start from; none: from scratch")
    parser.add_argument("--model", choices=list(ENCODERS), help="default: what --pretrained_path holds, else dgcnn")
    parser.add_argument("--frozen", action="store_true", help="train the classifier alone, the encoder in eval mode")
    labels = parser.add_argument_group("labels")
    labels.add_argument(
        "--label_fraction", type=float, default=1.0, help="share of each train class that is used, at least one cloud"
    )
    labels.add_argument("--val_fraction", type=float, default=0.1, help="share of the labelled clouds held out")
    labels.add_argument(
        "--select",
        choices=("val", "last"),
        help="the epoch that is kept and tested (default: val where each class has 1 / val_fraction labelled clouds, "
        "else last, which holds none out)",
    )
    add_recipe_args(parser)
    add_dataset_args(parser)
    reports = parser.add_argument_group("reports, checkpoints, evaluation, machine")
    reports.add_argument("--votes", type=int, default=0, help="also score the mean logits over so many scaled copies")
    reports.add_argument("--print_freq", type=int, default=50, help="steps between log lines")
    reports.add_argument("--test_batch_size", type=int, default=32, help="clouds per forward pass in evaluation")
    reports.add_argument("--resume", action="store_true", help="continue <exp_name> from its last state")
    reports.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")
    reports.add_argument("--eval", action="store_true", help="only test: --model_path, else the run's best model")
    reports.add_argument("--model_path", default="", help="with --eval the fine-tuned network, else --pretrained_path")
    reports.add_argument("--json", default="", help="results file (default: results.json of the run; --eval: none)")
    add_save_arg(reports)
    add_device_arg(reports)
    reports.add_argument("--seed", type=seed_number, default=1, help="labelled clouds, weights, order, augmentation")
    reports.add_argument("--num_workers", type=int, default=0, help="loader processes; 0 loads in this one")
    launch.add_process_args(parser)
    ddp = parser.add_argument_group("as CrossPoint-DDP's users type them")
    ddp.add_argument("--ft_dataset", dest="dataset", type=str.lower, choices=DATASETS, default=argparse.SUPPRESS)
    ddp.add_argument("--num_ft_points", dest="num_points", type=int, default=argparse.SUPPRESS)
    ddp.add_argument("--num_classes", type=int, help="refuse a set with another number of classes")
    return apply_recipe(parser.parse_args(argv))


def check_flags(args: argparse.Namespace) -> None:
    """Refuse what would fail late or be ignored."""
    settle_start(args)
    check_recipe(args)
    require_at_least(0, args, "num_workers", "votes", "steps", "save_every_steps")
    require_at_least(1, args, "epochs", "test_batch_size", "print_freq", "k", "num_points")
    if args.json:
        check_report_path(args.json)


def main(args: argparse.Namespace) -> None:
    """Fine-tune, then score the chosen epoch once on the test split; with --eval only score."""
    check_flags(args)
    run_dir = Path(args.output_dir) / args.exp_name
    with launch.process_group(args) as device:
        keep_freed_memory(device)
        test = load_split(args, "test")  # here, so that a fault of it shows at once
        if not args.eval:
            train(args, run_dir, device, test)
        elif is_main_process():
            network, origin = load_for_test(args.model_path or run_dir / BEST_MODEL, test, args, report=print)
            score_classifier(network, test, args, device, origin=origin, report=print, json_file=args.json)


def train(args: argparse.Namespace, run_dir: Path, device: torch.device, test: LabelledClouds) -> None:
    """One fine-tuning run, and its one look at the test split."""
    clouds = load_split(args, "train")
    if args.num_classes not in (None, len(clouds.class_names)):
        raise ValueError(f"--num_classes {args.num_classes}, but {args.dataset} here has {len(clouds.class_names)}")
    if args.resume and args.pretrained_path and not has_state(run_dir):
        if is_main_process():
            print(f"no {run_dir / STATE_FILE} to resume: starting from {args.pretrained_path}, as CrossPoint-DDP does")
        args.resume = False
    rows = choose_rows(clouds.labels, args)
    start = load_start(args, device)
    args.model = start.constants["model"]
    method = Classification(build_network(start.encoder, len(clouds.class_names), args), args.label_smoothing)
    args.epochs, length = plan_epochs(len(rows.fit), args)
    loader = build_loader(clouds, rows.fit, length, args, pin_memory=device.type == "cuda")
    open_run(run_dir, vars(args), resume=args.resume, overwrite=args.overwrite)
    reports = open_log(run_dir)
    try:
        for line in [*opening_lines(clouds, rows, loader, start, args), *launch.launch_notes(args)]:
            reports.line(line)
        training = ClassifierTraining(
            args, run_dir, method.to(device), loader, device, reports, clouds=clouds, rows=rows, encoder=start.constants
        )
        if args.resume:
            training.resume()
        training.fit()
        if is_main_process():
            network, origin = load_for_test(run_dir / BEST_MODEL, test, args, report=reports.line)
            score_classifier(
                network,
                test,
                args,
                device,
                origin=origin,
                report=reports.line,
                json_file=args.json or run_dir / RESULTS_FILE,
                predictions_file=run_dir / "predictions.npz",
            )
    finally:
        reports.close()


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
