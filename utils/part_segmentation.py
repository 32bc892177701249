"""Fine-tuning for part segmentation: the network, its training run, its one look at the test split."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets.shapenet_part import ShapeNetPart
from models.dgcnn_seg import DGCNNPartSeg
from models.published import LoadReport, export_state, import_state, load_encoder, read_weights, stored_origin
from utils import checkpoint, optim
from utils.evaluation.part_seg import PartScore, category_table, part_record, score_parts
from utils.evaluation.report import result_line, write_report
from utils.loader import EpochLoader
from utils.log import RunLog
from utils.training import Training

MODELS = ("dgcnn_seg",)
SGD_FACTOR = 100  # the published SGD runs at 100 times --lr
WEIGHT_DECAY = 1e-4


def start_from(network: DGCNNPartSeg, path: str | Path, name: str) -> LoadReport:
    """Copy every encoder tensor of a pre-trained file into `network`; the classifier keeps its own weights.

    Args:
        path: weights of a pre-training or of another fine-tuning, ours or published.
        name: the encoder expected, a key of ENCODERS.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, of another encoder, or a tensor is missing, left over or of another shape: all are listed.
    """
    loaded = load_encoder(path, name, network.k)
    network.load_state_dict(network.state_dict() | loaded.encoder.state_dict())
    return loaded.report


def load_part_seg(path: str | Path, name: str, k: int) -> DGCNNPartSeg:
    """A fine-tuned network: `models/best_model.pth` of a run here, or a file of CrossPoint's authors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, no part segmentation network, or trained with another k.
    """
    state = read_weights(path)
    network = DGCNNPartSeg(k)
    try:
        import_state(state, network, name)
    except ValueError as error:
        raise ValueError(f"{path} is no fine-tuned part segmentation network of --model {name}: {error}") from error
    stored_k = stored_origin(state).get("k")
    if stored_k not in (None, k):
        raise ValueError(f"{path} was trained with k {stored_k}, got --k {k}; pass --k {stored_k}")
    return network


class PartSegTraining(Training):
    """One fine-tuning run, its best epoch chosen on validation clouds.

    Args, beside those of Training:
        args: also lr, use_sgd, momentum, scheduler, test_batch_size, model and k.
        method: also has `network`.
        val: clouds that choose the best epoch; None keeps the last.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        run_dir: Path,
        method: nn.Module,
        loader: EpochLoader,
        device: torch.device,
        log: RunLog,
        val: ShapeNetPart | None,
    ):
        optimizer = optim.build_optimizer(
            method.parameters(),
            lr=args.lr * SGD_FACTOR if args.use_sgd else args.lr,
            use_sgd=args.use_sgd,
            momentum=args.momentum,
            weight_decay=WEIGHT_DECAY,
        )
        schedule = optim.published_finetune_schedule(optimizer, args.scheduler, epochs=args.epochs, steps=len(loader))
        super().__init__(args, run_dir, method, loader, device, log, optimizer=optimizer, schedule=schedule)
        self.val = val

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Instance mIoU by the published protocol on val; keeps the best network, or without val the last."""
        if self.val is None:
            self._save_weights()
            return {}
        score = score_parts(
            self.method.network, self.val, batch_size=self.args.test_batch_size, device=self.device, progress="val"
        )[0]
        is_best = score.miou_instance > self.best
        self.log.line(f"epoch {epoch} val  {_figures(score)}{'  best so far' if is_best else ''}")
        if is_best:
            self.best = score.miou_instance
            self._save_weights()
        return {
            "part_seg/val_miou_instance": score.miou_instance,
            "part_seg/val_miou_class": score.miou_class,
            "part_seg/val_accuracy": score.accuracy,
        }

    def _save_weights(self) -> None:
        weights = export_state(self.method.network, self.args.model, k=self.args.k)
        checkpoint.save_atomically(weights, self.run_dir / "models" / "best_model.pth")


def _figures(score: PartScore) -> str:
    return f"mIoU instance {score.miou_instance:.4f}  class {score.miou_class:.4f}  accuracy {score.accuracy:.4f}"


def evaluate_on_test(
    path: str | Path,
    clouds: ShapeNetPart,
    args: argparse.Namespace,
    device: torch.device,
    *,
    report: Callable[[str], None],
    json_file: str | Path | None = None,
    **constants: Any,
) -> None:
    """Score the network at `path` on the test split by both protocols; print the table, write the records.

    Args:
        clouds: the test split.
        constants: how the network came about, for the records (JSON values).
    Raises:
        FileNotFoundError: no weights there.
        ValueError: damaged weights, or of another network.
    """
    network = load_part_seg(path, args.model, args.k).to(device)
    scores = score_parts(network, clouds, batch_size=args.test_batch_size, device=device, progress="test")
    digest = checkpoint.file_sha256(Path(path))
    origin = {"model": args.model, "k": args.k, "checkpoint": str(path), "checkpoint_sha256": digest, **constants}
    report(f"network: {args.model}, k {args.k}, {path}, sha256 {digest}")
    report(f"data: test split of {clouds.shards[0].parent}, {len(clouds)} shapes, {args.num_points} points each")
    report(category_table(scores, clouds))
    records = [part_record(score, clouds, split="test", **origin) for score in scores]
    for record in records:
        report(result_line(record))
    if json_file:
        write_report(json_file, records)
