"""Pre-train a point encoder with CrossPoint: two augmentations agree (IMID), their mean agrees with an image (CMID).

    python train_crosspoint.py --model dgcnn --epochs 100 --lr 0.001 --exp_name crosspoint_dgcnn_cls \
        --batch_size 20 --print_freq 200 --k 15

Reads DATA_ROOT/ShapeNet and DATA_ROOT/ShapeNetRendering; writes checkpoints/<exp_name>/: config.json, run.log,
metrics.jsonl, last.pt (resume with --resume), results.json, and models/ with weights under the published names.
Source: Afham et al. 2022, arXiv:2203.00680.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from datasets.pairs.packed_render import PackedRender
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.pairs.tolerant_pairs import TolerantPairs
from datasets.transforms.batch_augment import BatchAugment
from datasets.transforms.point_transforms import ROTATIONS, PointAugment, augmented_pair
from models.distributed import get_rank, get_world_size
from models.encoders.image_resnet import DEPTHS, ImageResNet
from models.encoders.registry import ENCODERS, build_encoder
from models.methods.crosspoint import CrossPoint
from models.weights.published import load_encoder
from utils import seed
from utils.cli import run_main
from utils.flags import add_common_args, add_save_arg, require_at_least
from utils.pretraining.monitor import MONITORED, find_monitor, score_on_test
from utils.pretraining.pretrainer import Pretrainer
from utils.processes import launch
from utils.processes.allocator import keep_freed_memory
from utils.processes.collectives import is_main_process
from utils.run import log
from utils.run.folder import open_log, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE
from utils.training import engine
from utils.training.bad_samples import add_fault_args
from utils.training.epoch_loader import EpochLoader
from utils.training.shard_loader import ShardLoader, add_shard_args, open_shards

MAX_IMAGE_SIZE = 4096


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Flags as CrossPoint's users type them, then ours. Defaults are the published code's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp_name", default="exp", help="run folder: <output_dir>/<exp_name>")
    parser.add_argument("--output_dir", default="checkpoints")
    parser.add_argument("--model", default="dgcnn", choices=list(ENCODERS), help="point encoder")
    parser.add_argument(
        "--k", type=int, default=20, help="neighbours per point in DGCNN's graphs; published runs use 15"
    )
    parser.add_argument("--num_points", type=int, default=2048, help="points per cloud, a random subset if it has more")
    parser.add_argument("--epochs", type=int, default=250)
    parser.add_argument("--batch_size", type=int, default=16, help="shapes per step")
    parser.add_argument(
        "--micro_batch",
        type=int,
        default=0,
        help="shapes in memory at once while all of --batch_size are contrasted; BatchNorm sees these; 0: all",
    )
    parser.add_argument("--lr", type=float, default=0.001, help="initial rate, cosine to 0 over all steps")
    parser.add_argument("--use_sgd", action=argparse.BooleanOptionalAction, default=False, help="SGD instead of Adam")
    parser.add_argument("--momentum", type=float, default=0.9, help="of SGD")
    parser.add_argument(
        "--amp", choices=list(engine.AMP_DTYPES), default="none", help="autocast; kNN, losses stay float32"
    )
    method = parser.add_argument_group("method")
    method.add_argument("--imid_weight", type=float, default=1.0, help="0 leaves the intra-modal term out")
    method.add_argument(
        "--cmid_weight", type=float, default=1.0, help="0 leaves the cross-modal term and the images out"
    )
    method.add_argument("--temperature", type=float, default=0.1, help="of both NT-Xent losses")
    method.add_argument("--image_depth", type=int, choices=DEPTHS, default=50, help="ResNet depth")
    method.add_argument("--image_weights", default="none", help="none (as published), imagenet, or a torchvision file")
    method.add_argument("--image_size", type=int, default=224, help="pixels, square")
    method.add_argument("--background", choices=("black", "white"), default="black", help="behind transparent renders")
    augment = parser.add_argument_group("augmentation", "defaults are the published ones, of the clouds")
    augment.add_argument(
        "--augment",
        choices=("loader", "device"),
        default="loader",
        help="item by item while loading, or batch by batch",
    )
    augment.add_argument("--rotation", choices=ROTATIONS, default="y", help="so3 for shapes whose up axes differ")
    augment.add_argument("--max_scale", type=float, default=2.0, help="scaled by a factor from 1 / this to this")
    augment.add_argument("--translation", type=float, default=0.5, help="shifted by up to this share of the extent")
    augment.add_argument("--max_dropout", type=float, default=0.875, help="up to this share of points is dropped")
    monitor = parser.add_argument_group("reports, checkpoints, evaluation")
    monitor.add_argument("--print_freq", type=int, default=50, help="steps between log lines")
    monitor.add_argument("--save_freq", type=int, default=50, help="epochs between kept copies of the encoder")
    add_save_arg(monitor)
    monitor.add_argument(
        "--eval_freq", type=int, default=1, help="epochs between linear SVMs on held-out val; 0: never"
    )
    monitor.add_argument("--eval_dataset", choices=("auto", *MONITORED), default="auto")
    monitor.add_argument("--eval_num_points", type=int, default=1024, help="the first so many of each labelled cloud")
    monitor.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="evaluation clouds centred and scaled to the unit sphere; the published protocol does not",
    )
    monitor.add_argument("--test_batch_size", type=int, default=16, help="clouds per forward pass in evaluation")
    monitor.add_argument("--wandb", choices=log.WANDB_MODES, default="off")
    monitor.add_argument("--resume", action="store_true", help="continue <exp_name> from its last state")
    monitor.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")
    monitor.add_argument("--eval", action="store_true", help="only evaluate: --model_path, else the run's best model")
    monitor.add_argument("--model_path", default="", help="encoder weights to start from, or to evaluate with --eval")
    add_common_args(parser)
    launch.add_process_args(parser)
    parser.add_argument("--packed", help="one file by data.pack, read in place of the trees in --data_root")
    add_shard_args(parser)
    add_fault_args(parser)
    return parser.parse_args(argv)


def build_method(args: argparse.Namespace, report: Callable[[str], None]) -> CrossPoint:
    """The method of these flags, its point branch from --model_path when given; `report` is told of another k."""
    method = CrossPoint(
        build_encoder(args.model, args.k),
        ImageResNet(args.image_depth, args.image_weights),
        imid_weight=args.imid_weight,
        cmid_weight=args.cmid_weight,
        temperature=args.temperature,
    )
    if args.model_path:
        loaded = load_encoder(args.model_path, args.model, args.k)
        if args.model != "pointnet" and loaded.stored_k not in (None, args.k):
            report(f"warning: {args.model_path} was trained with k {loaded.stored_k}, this run has --k {args.k}")
        method.point_encoder = loaded.encoder
        method.point_head = loaded.head or method.point_head
    return method


def point_augmentation(args: argparse.Namespace) -> PointAugment:
    """What the flags make of each cloud."""
    return PointAugment(args.rotation, args.max_scale, args.translation, args.max_dropout)


def build_loader(args: argparse.Namespace, pin_memory: bool) -> EpochLoader | ShardLoader:
    """Batches of pairs as these flags ask for, from --shards, --packed or the trees below --data_root."""
    options = {
        "num_points": args.num_points,
        "image_size": args.image_size,
        "background": args.background,
        "clouds": augmented_pair(point_augmentation(args)),
        "augment": args.augment == "loader",
        "with_images": args.cmid_weight > 0,
        "seed": args.seed,
    }
    place = {"pin_memory": pin_memory, "rank": get_rank(), "world_size": get_world_size()}
    if args.shards is not None:
        return open_shards(args, options, **place)
    dataset = (PackedRender if args.packed else ShapeNetRender)(args.packed or args.data_root, **options)
    if args.on_bad_sample == "skip":
        dataset = TolerantPairs(dataset)
    return EpochLoader(dataset, args.batch_size, seed=args.seed, num_workers=args.num_workers, **place)


def build_transform(args: argparse.Namespace) -> BatchAugment | None:
    """With --augment device, what is done to each batch there."""
    if args.augment == "loader":
        return None
    return BatchAugment(
        augmented_pair(point_augmentation(args)), args.image_size, args.seed, get_rank(), get_world_size()
    )


def check_flags(args: argparse.Namespace) -> None:
    """Refuse what would fail late or be ignored."""
    require_at_least(1, args, "epochs", "print_freq", "k")
    require_at_least(2, args, "batch_size", "num_points", "image_size")
    require_at_least(1, args, "test_batch_size", "eval_num_points")
    require_at_least(0, args, "eval_freq", "save_freq", "num_workers", "save_every_steps")
    if not 0 <= args.max_bad_rate <= 1:
        raise ValueError(f"--max_bad_rate must lie in 0 .. 1, got {args.max_bad_rate}")
    if args.packed == "":
        raise ValueError("--packed is empty; name a file that data.pack wrote, or leave the flag out")
    if args.micro_batch < 0 or args.micro_batch == 1:
        raise ValueError(f"--micro_batch must be 0 or at least 2, got {args.micro_batch}")
    if args.image_size > MAX_IMAGE_SIZE:
        raise ValueError(f"--image_size must be at most {MAX_IMAGE_SIZE}, got {args.image_size}")


def main(args: argparse.Namespace) -> None:
    """Train, then score the best model once on the test split; with --eval only score."""
    check_flags(args)
    run_dir = Path(args.output_dir) / args.exp_name
    with launch.process_group(args) as device:
        keep_freed_memory(device)
        if not args.eval:
            train(args, run_dir, device)
        elif is_main_process():
            score_on_test(args.model_path or run_dir / BEST_MODEL, args, device, report=print)


def train(args: argparse.Namespace, run_dir: Path, device: torch.device) -> None:
    """One training run, scored at its end if there is labelled data."""
    seed.everything(args.seed)
    loader = build_loader(args, pin_memory=device.type == "cuda")
    notes = launch.launch_notes(args) + getattr(loader, "notes", [])
    method = build_method(args, notes.append).to(device)
    monitor = find_monitor(args, device, notes.append)  # before anything is written: its data may be at fault
    open_run(run_dir, vars(args), resume=args.resume, overwrite=args.overwrite)
    reports = open_log(run_dir, wandb_mode=args.wandb, name=args.exp_name, config=vars(args))
    try:
        several = f", {get_world_size()} processes" if get_world_size() > 1 else ""
        reports.line(f"{len(loader.dataset)} shapes, {len(loader)} steps an epoch, {args.model} on {device}{several}")
        for note in notes:
            reports.line(note)
        transform = build_transform(args)
        training = Pretrainer(args, run_dir, method, loader, device, reports, monitor, transform)
        if args.resume:
            training.resume()
        training.fit()
        if monitor is not None and is_main_process():
            score_on_test(run_dir / BEST_MODEL, args, device, report=reports.line, json_file=run_dir / RESULTS_FILE)
    finally:
        reports.close()


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
