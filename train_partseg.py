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
from pathlib import Path

import torch

from datasets.parts.part_table import part_names
from datasets.parts.part_task import PartTask
from datasets.parts.shapenet_part import ShapeNetPart
from datasets.parts.shuffled_parts import ShuffledParts
from models.distributed import get_rank, get_world_size
from models.encoders.part_networks import PART_NETWORKS
from models.methods.part_segmentation import PartSegmentation
from utils import seed
from utils.classification.recipes import PUBLISHED_PARTS
from utils.cli import run_main
from utils.evaluation.json_report import check_report_path
from utils.flags import add_common_args, add_save_arg, require_at_least, settle_start
from utils.parts.part_test_split import score_part_network
from utils.parts.part_training import PartSegTraining
from utils.parts.part_weights import build_for, load_part_network, origin_of, start_from
from utils.processes import launch
from utils.processes.allocator import keep_freed_memory
from utils.processes.collectives import is_main_process
from utils.run.folder import open_log, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE
from utils.run.provenance import file_sha256
from utils.training.epoch_loader import EpochLoader
from utils.training.optim import FINETUNE_SCHEDULES


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Flags as CrossPoint's users type them, then ours. Defaults are the published code's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp_name", default="exp", help="run folder: <output_dir>/<exp_name>")
    parser.add_argument("--output_dir", default="checkpoints")
    parser.add_argument("--model", default="dgcnn_seg", choices=list(PART_NETWORKS), help="the encoder")
    parser.add_argument("--pretrained_path", default="", help="encoder weights to start from; none: from scratch")
    parser.add_argument("--k", type=int, default=40, help="neighbours per point in the graphs; pointnet has none")
    parser.add_argument("--num_points", type=int, default=2048, help="the first so many of each cloud, in file order")
    parser.add_argument("--dropout", type=float, default=0.5, help="in the classifier")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=0, help="as many epochs as hold so many steps; 0: --epochs")
    parser.add_argument("--batch_size", type=int, default=32, help="clouds per step")
    parser.add_argument("--lr", type=float, default=0.001, help="of Adam; SGD starts at 100 times this")
    parser.add_argument("--use_sgd", action=argparse.BooleanOptionalAction, default=True, help="SGD, else Adam")
    parser.add_argument("--momentum", type=float, default=0.9, help="of SGD")
    parser.add_argument(
        "--scheduler", choices=list(FINETUNE_SCHEDULES), default="cos", help="cosine to 0.001, or halve every 20 epochs"
    )
    data = parser.add_argument_group("part of the data")
    data.add_argument("--class_choice", default="", help="train and test on this category alone")
    data.add_argument("--parts", default="", help='JSON of categories and parts, {"chair": ["back", "seat"], ...}')
    data.add_argument(
        "--label_fraction", type=float, default=1.0, help="share of each category of train and val, by --seed"
    )
    monitor = parser.add_argument_group("reports, checkpoints, evaluation")
    monitor.add_argument("--select", choices=("val", "last"), default="val", help="the epoch that is kept and tested")
    monitor.add_argument("--eval_freq", type=int, default=1, help="epochs between looks at val; the last always")
    monitor.add_argument("--print_freq", type=int, default=50, help="steps between log lines")
    monitor.add_argument("--test_batch_size", type=int, default=16, help="clouds per forward pass in evaluation")
    monitor.add_argument("--votes", type=int, default=1, help="test: mean over the cloud and N - 1 rescaled copies")
    monitor.add_argument("--num_pictures", type=int, default=2, help="clouds of each category to show; 0: none")
    monitor.add_argument("--resume", action="store_true", help="continue <exp_name> from its last state")
    monitor.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")
    monitor.add_argument("--eval", action="store_true", help="only test: --model_path, else the run's best model")
    monitor.add_argument("--model_path", default="", help="with --eval the fine-tuned network, else --pretrained_path")
    monitor.add_argument("--json", default="", help="results file (default: results.json of the run; --eval: none)")
    add_save_arg(monitor)
    add_common_args(parser)
    launch.add_process_args(parser)
    return parser.parse_args(argv)


def check_flags(args: argparse.Namespace) -> None:
    """Refuse what would fail late or be ignored."""
    settle_start(args)
    if not args.eval and args.batch_size < 2:
        raise ValueError(f"--batch_size must be at least 2 for BatchNorm, got {args.batch_size}")
    require_at_least(0, args, "num_workers", "steps", "num_pictures", "save_every_steps")
    if not 0 < args.lr < math.inf:
        raise ValueError(f"--lr must be > 0, got {args.lr}")
    for name in ("dropout", "momentum"):
        if not 0 <= getattr(args, name) < 1:
            raise ValueError(f"--{name} must be in [0, 1), got {getattr(args, name)}")
    if not 0 < args.label_fraction <= 1:
        raise ValueError(f"--label_fraction must be above 0 and at most 1, got {args.label_fraction}")
    at_least_1 = ("epochs", "test_batch_size", "eval_freq", "print_freq", "k", "num_points", "votes")
    require_at_least(1, args, *at_least_1)
    if args.json:
        check_report_path(args.json)


def read_clouds(args: argparse.Namespace, task: PartTask) -> tuple[ShapeNetPart, ShapeNetPart | None]:
    """The clouds these flags train on, and those that choose the epoch."""
    options = {"num_points": args.num_points, "label_fraction": args.label_fraction, "seed": args.seed}
    if args.select == "last":
        return task.read(args.data_root, "trainval", **options), None
    return task.read(args.data_root, "train", **options), task.read(args.data_root, "val", **options)


def describe_training(args: argparse.Namespace, num_train: int) -> dict:
    """How the network comes about, for the records."""
    path = Path(args.pretrained_path)
    return {
        "weights": "checkpoint" if args.pretrained_path else "random",
        "checkpoint": args.pretrained_path or None,
        "checkpoint_sha256": file_sha256(path) if path.is_file() else None,  # a resumed run may have lost it
        "encoder_seed": None if args.pretrained_path else args.seed,
        "seed": args.seed,
        "label_fraction": args.label_fraction,
        "num_train": num_train,
        "selected_on": args.select,
        **{name: getattr(args, name) for name in PUBLISHED_PARTS if name != "selected_on"},
    }


def evaluate(args: argparse.Namespace, path: Path, device: torch.device) -> None:
    """Score a fine-tuned network on the test split."""
    trained = load_part_network(path, args.model, args.k, PartTask.from_flags(args.parts, "") if args.parts else None)
    category = trained.task.tested_on(args.class_choice)
    test = trained.task.read(args.data_root, "test", num_points=args.num_points, category=category)
    json_file = Path(args.json) if args.json else None
    examples = f"{json_file.with_suffix('')}_" if json_file else ""
    score_part_network(
        trained, path, test, args, device, report=print, category=category, json_file=json_file, examples=examples
    )


def train(args: argparse.Namespace, run_dir: Path, device: torch.device) -> None:
    """Fine-tune, then score the chosen epoch once on the test split."""
    task = PartTask.from_flags(args.parts, args.class_choice)
    args.class_choice = task.class_choice
    args.parts = part_names(task.table) if args.parts else ""  # config.json and last.pt hold what the file says
    test = task.read(args.data_root, "test", num_points=args.num_points)  # here, so that a fault of it shows at once
    seed.everything(args.seed)
    network = build_for(task, args.model, args.k, args.dropout)
    started = "weights: from scratch"
    if args.pretrained_path and not args.resume:
        started = f"{args.pretrained_path}: {start_from(network, args.pretrained_path, args.model, args.k)}"
    clouds, val = read_clouds(args, task)
    loader = EpochLoader(
        ShuffledParts(clouds, args.seed),
        args.batch_size,
        seed=args.seed,
        num_workers=args.num_workers,
        pin_memory=device.type == "cuda",
        rank=get_rank(),
        world_size=get_world_size(),
    )
    if args.steps:
        args.epochs = math.ceil(args.steps / len(loader))
    method = PartSegmentation(network).to(device)
    open_run(run_dir, vars(args), resume=args.resume, overwrite=args.overwrite)
    reports = open_log(run_dir)
    try:
        reports.line(f"{len(clouds)} clouds, {len(loader)} steps an epoch, {args.model} on {device}")
        for note in launch.launch_notes(args):
            reports.line(note)
        origin = origin_of(task, describe_training(args, len(clouds)))
        training = PartSegTraining(args, run_dir, method, loader, device, reports, val, origin)
        if args.resume:
            training.resume()
        else:
            reports.line(started)
        training.fit()
        if is_main_process():
            score_part_network(
                load_part_network(run_dir / BEST_MODEL, args.model, args.k),
                run_dir / BEST_MODEL,
                test,
                args,
                device,
                report=reports.line,
                category=task.class_choice,
                json_file=Path(args.json or run_dir / RESULTS_FILE),
                examples=f"{run_dir}/",
            )
    finally:
        reports.close()


def main(args: argparse.Namespace) -> None:
    """Fine-tune and test; with --eval only test."""
    check_flags(args)
    run_dir = Path(args.output_dir) / args.exp_name
    with launch.process_group(args) as device:
        keep_freed_memory(device)
        if not args.eval:
            train(args, run_dir, device)
        elif is_main_process():
            evaluate(args, Path(args.model_path or run_dir / BEST_MODEL), device)


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
