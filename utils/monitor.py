"""Scores of pre-training: a linear SVM on a held-out part of train between epochs, the test split once at the end."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from datasets.modelnet40 import ModelNet40
from datasets.scanobjectnn import ScanObjectNN
from datasets.splits import stratified_split
from utils.evaluation.encoder_scores import score_encoder
from utils.evaluation.inputs import load_frozen_encoder, size_warning
from utils.evaluation.linear_svm import PUBLISHED_C, LinearProbe
from utils.evaluation.report import write_report

MONITORED = {"modelnet40": ModelNet40, "scanobjectnn": ScanObjectNN}
VAL_FRACTION = 0.2
NUM_POINTS = 1024


class Monitor:
    """Accuracy of a linear SVM on the held-out fifth of a data set's train split; test is never read.

    Args:
        name: key of MONITORED.
        root: data root.
        device: where features are computed.
        batch_size: clouds per forward pass.
        normalize: centre each cloud and scale it to the unit sphere.
    Raises:
        FileNotFoundError: the data set is not below root.
        ValueError: it is damaged.
    """

    def __init__(self, name: str, root: str | Path, device: torch.device, batch_size: int = 16, *, normalize=False):
        train = MONITORED[name](root, "train", num_points=NUM_POINTS, normalize=normalize)
        fit, val = stratified_split(train.labels, val_fraction=VAL_FRACTION, seed=0)
        self.description = f"linear SVM on {name}: {len(fit)} train clouds fit, {len(val)} held out of train"
        self.warning = None if normalize else size_warning(train.points)
        self._probe = LinearProbe(
            train.points[fit], train.labels[fit], train.points[val], train.labels[val], name, device, batch_size
        )

    def __call__(self, encoder: nn.Module) -> dict[str, float]:
        """One entry: "svm/<name>_val", accuracy in [0, 1]."""
        return self._probe(encoder)


def find_monitor(args: argparse.Namespace, device: torch.device, report: Callable[[str], None]) -> Monitor | None:
    """The monitor of `--eval_dataset`; "auto" takes the first data set found below the data root.

    None, said in a line, when --eval_freq is 0 or nothing was found: then the last model counts as the best.
    """
    if args.eval_freq == 0:
        report("--eval_freq 0: no held-out SVM; the last model counts as the best")
        return None
    try:
        monitor = Monitor(_first_found(args), args.data_root, device, args.test_batch_size, normalize=args.normalize)
    except FileNotFoundError:
        if args.eval_dataset != "auto":
            raise
        report(f"warning: no labelled data in {args.data_root}: no held-out SVM; the last model counts as the best")
        return None
    report(monitor.description)
    if monitor.warning:
        report(f"warning: {monitor.warning}")
    return monitor


def evaluate_on_test(
    path: str | Path,
    args: argparse.Namespace,
    device: torch.device,
    *,
    report: Callable[[str], None],
    json_file: Path | None = None,
) -> None:
    """Score the weights at `path` on the test split of `--eval_dataset` by all protocols.

    Raises:
        FileNotFoundError: no weights there, or no labelled data set below the data root.
        ValueError: damaged weights or data, or weights of another --model.
    """
    flags = {"model_path": str(path), "random_init": False, "model": None, "k": None, "seed": args.seed}
    flags |= {"dataset": _first_found(args), "data_root": args.data_root, "variant": None, "normalize": args.normalize}
    flags |= {"num_points": NUM_POINTS, "batch_size": args.test_batch_size, "protocol": "all", "c": PUBLISHED_C}
    options = argparse.Namespace(**flags)
    records = score_encoder(options, load_frozen_encoder(options, device), device, report, report)
    if json_file is not None:
        write_report(json_file, records)


def _first_found(args: argparse.Namespace) -> str:
    """The data set of `--eval_dataset`; "auto" is the first whose train split is below the data root."""
    if args.eval_dataset != "auto":
        return args.eval_dataset
    for name, dataset in MONITORED.items():
        try:
            dataset(args.data_root, "train", num_points=NUM_POINTS)
        except FileNotFoundError:
            continue
        return name
    raise FileNotFoundError(
        f"no labelled data set in {args.data_root} (looked for {', '.join(MONITORED)}); pass --data_root, or make the "
        "built-in data: python -m data.make_shapes --out data/shapes"
    )
