"""Fine-tune a pre-trained point encoder for part segmentation on ShapeNetPart, or score a fine-tuned network.

    python train_partseg.py --exp_name dgcnn_partseg --pretrained_path dgcnn_partseg_best.pth \
        --batch_size 8 --k 40 --test_batch_size 8 --epochs 300
    python train_partseg.py --eval --model_path checkpoints/dgcnn_partseg/models/best_model.pth

Reads DATA_ROOT/shapenet_part_seg_hdf5_data; writes checkpoints/<exp_name>/: config.json, run.log, metrics.jsonl,
last.pt (resume with --resume), models/best_model.pth under the published names, results.json of the test split.
By default val chooses the best epoch and train is trained on; --select last trains on both, as published. The
published code chose its epoch on test; nothing here does.
Source: Afham et al. 2022, arXiv:2203.00680.
"""

import argparse
from pathlib import Path

from datasets.shapenet_part import ShapeNetPart
from datasets.shuffled_parts import ShuffledParts
from models.dgcnn_seg import DGCNNPartSeg
from models.methods.part_segmentation import PartSegmentation
from utils import log, run, seed
from utils.allocator import keep_freed_memory
from utils.cli import run_main
from utils.evaluation.report import check_report_path
from utils.loader import EpochLoader
from utils.optim import FINETUNE_SCHEDULES
from utils.part_segmentation import MODELS, PartSegTraining, evaluate_on_test, start_from


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Flags as CrossPoint's users type them, then ours. Defaults are the published code's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp_name", default="exp", help="run folder: <output_dir>/<exp_name>")
    parser.add_argument("--output_dir", default="checkpoints")
    parser.add_argument("--model", default="dgcnn_seg", choices=MODELS)
    parser.add_argument("--pretrained_path", default="", help="encoder weights to start from; none: from scratch")
    parser.add_argument("--k", type=int, default=40, help="neighbours per point in the graphs")
    parser.add_argument("--num_points", type=int, default=2048, help="the first so many of each cloud, in file order")
    parser.add_argument("--dropout", type=float, default=0.5, help="in the classifier")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--batch_size", type=int, default=32, help="clouds per step")
    parser.add_argument("--lr", type=float, default=0.001, help="of Adam; SGD starts at 100 times this")
    parser.add_argument("--use_sgd", action=argparse.BooleanOptionalAction, default=True, help="SGD, else Adam")
    parser.add_argument("--momentum", type=float, default=0.9, help="of SGD")
    parser.add_argument(
        "--scheduler", choices=list(FINETUNE_SCHEDULES), default="cos", help="cosine to 0.001, or halve every 20 epochs"
    )
    monitor = parser.add_argument_group("reports, checkpoints, evaluation")
    monitor.add_argument("--select", choices=("val", "last"), default="val", help="the epoch that is kept and tested")
    monitor.add_argument("--print_freq", type=int, default=50, help="steps between log lines")
    monitor.add_argument("--test_batch_size", type=int, default=16, help="clouds per forward pass in evaluation")
    monitor.add_argument("--resume", action="store_true", help="continue <exp_name> from its last state")
    monitor.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")
    monitor.add_argument("--eval", action="store_true", help="only test: --model_path, else the run's best model")
    monitor.add_argument("--model_path", default="", help="fine-tuned network to test with --eval")
    monitor.add_argument("--json", default="", help="results file (default: results.json of the run; --eval: none)")
    run.add_common_args(parser)
    return parser.parse_args(argv)


def check_flags(args: argparse.Namespace) -> None:
    """Refuse what would fail late or be ignored."""
    if args.model_path and not args.eval:
        raise ValueError("--model_path is tested with --eval; to start training from weights pass --pretrained_path")
    if args.pretrained_path and args.eval:
        raise ValueError("--pretrained_path starts a training; with --eval pass the fine-tuned network as --model_path")
    if not args.eval and args.batch_size < 2:
        raise ValueError(f"--batch_size must be at least 2 for BatchNorm, got {args.batch_size}")
    run.require_at_least(0, args, "num_workers")
    if not 0 <= args.dropout < 1:
        raise ValueError(f"--dropout must be in [0, 1), got {args.dropout}")
    run.require_at_least(1, args, "epochs", "test_batch_size", "print_freq", "k", "num_points")
    if args.json:
        check_report_path(args.json)


def build_loader(args: argparse.Namespace, pin_memory: bool) -> EpochLoader:
    """Shuffled batches of the split these flags train on."""
    split = "train" if args.select == "val" else "trainval"
    clouds = ShuffledParts(ShapeNetPart(args.data_root, split, num_points=args.num_points), args.seed)
    return EpochLoader(clouds, args.batch_size, seed=args.seed, num_workers=args.num_workers, pin_memory=pin_memory)


def main(args: argparse.Namespace) -> None:
    """Fine-tune, then score the chosen epoch once on the test split; with --eval only score."""
    check_flags(args)
    run_dir = Path(args.output_dir) / args.exp_name
    best = run_dir / "models" / "best_model.pth"
    device = run.get_device(args.device)
    keep_freed_memory(device)
    test = ShapeNetPart(args.data_root, "test", num_points=args.num_points)  # here, so that a fault of it shows at once
    if args.eval:
        evaluate_on_test(args.model_path or best, test, args, device, report=print, json_file=args.json)
        return
    seed.everything(args.seed)
    network = DGCNNPartSeg(args.k, dropout=args.dropout)
    started = "weights: from scratch"
    if args.pretrained_path and not args.resume:
        started = f"{args.pretrained_path}: {start_from(network, args.pretrained_path, args.model)}"
    loader = build_loader(args, pin_memory=device.type == "cuda")
    val = ShapeNetPart(args.data_root, "val", num_points=args.num_points) if args.select == "val" else None
    method = PartSegmentation(network).to(device)
    run.open_run(run_dir, vars(args), resume=args.resume, overwrite=args.overwrite)
    reports = log.RunLog(run_dir)
    try:
        reports.line(f"{len(loader.dataset)} clouds, {len(loader)} steps an epoch, {args.model} on {device}")
        training = PartSegTraining(args, run_dir, method, loader, device, reports, val)
        if args.resume:
            training.resume()
        else:
            reports.line(started)
        training.fit()
        evaluate_on_test(
            best,
            test,
            args,
            device,
            report=reports.line,
            json_file=args.json or run_dir / "results.json",
            seed=args.seed,
            epochs=args.epochs,
            selected_on=args.select,
            pretrained_path=args.pretrained_path or None,
        )
    finally:
        reports.close()


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
