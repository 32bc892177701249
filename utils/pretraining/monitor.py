"""Scores of pre-training: a linear SVM on a held-out part of train between epochs, the test split once at the end."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from datasets.labelled.modelnet40 import ModelNet40
from datasets.labelled.scanobjectnn import ScanObjectNN
from datasets.labelled.splits import stratified_split
from utils.evaluation.encoder_scores import score_encoder
from utils.evaluation.features import extract_together
from utils.evaluation.frozen_encoder import load_frozen_encoder, size_warning
from utils.evaluation.json_report import write_report
from utils.evaluation.linear_svm import PUBLISHED_C, LinearProbe
from utils.processes.collectives import compute_on_main
from utils.settings import Settings, flag

MONITORED = {"modelnet40": ModelNet40, "scanobjectnn": ScanObjectNN}
VAL_FRACTION = 0.2
SPLITS = ("train", "test")


@dataclass(frozen=True)
class MonitorSettings(Settings):
    """Labelled data that score the encoder between epochs, and on its test split at the end."""

    eval_freq: int = flag(1, "epochs between linear SVMs on held-out val; 0: never", at_least=0)
    eval_dataset: str = flag("auto", "labelled set; auto takes the first found", choices=("auto", *MONITORED))
    eval_num_points: int = flag(1024, "the first so many of each labelled cloud", at_least=1)
    normalize: bool = flag(
        False, "evaluation clouds centred and scaled to the unit sphere; the published protocol does not"
    )
    test_batch_size: int = flag(16, "clouds per forward pass in evaluation", at_least=1, is_free=True)


class Monitor:
    """Accuracy of a linear SVM on the held-out fifth of a data set's train split.

    The test split is opened too, so that a fault of it shows before the training and not after, but never scored.

    Args:
        name: key of MONITORED.
        root: data root.
        device: where features are computed.
        num_points: the first so many of each cloud.
        batch_size: clouds per forward pass.
        normalize: centre each cloud and scale it to the unit sphere.
    Raises:
        FileNotFoundError: a split of the data set is not below root.
        ValueError: it is damaged, or too small to hold a part of each class out.
    """

    def __init__(
        self,
        name: str,
        root: str | Path,
        device: torch.device,
        *,
        num_points: int = 1024,
        batch_size: int = 16,
        normalize: bool = False,
        freq: int = 1,
    ):
        self.freq = freq
        train, _ = (MONITORED[name](root, split, num_points=num_points, normalize=normalize) for split in SPLITS)
        fit, val = stratified_split(train.labels, val_fraction=VAL_FRACTION, seed=0)
        if len(val) == 0 or len(train.labels[fit].unique()) < 2:
            raise ValueError(
                f"{train.shards[0].parent} cannot be split for held-out scores: its {len(train)} train clouds must "
                "be of two classes or more, one of them with two clouds"
            )
        self.description = f"linear SVM on {name}: {len(fit)} train clouds fit, {len(val)} held out of train"
        self.warning = None if normalize else size_warning(train.points)
        self._probe = LinearProbe(
            train.points[fit], train.labels[fit], train.points[val], train.labels[val], name, device, batch_size
        )

    def __call__(self, encoder: nn.Module) -> dict[str, float]:
        """One entry: "svm/<name>_val", accuracy in [0, 1]; every process of a run must call it."""
        train, val = self._probe.features(encoder, extract_together)
        return compute_on_main(lambda: self._probe.score(train, val))


def find_monitor(
    args: MonitorSettings, data_root: str, model: str, k: int, device: torch.device, report: Callable[[str], None]
) -> Monitor | None:
    """The monitor of `--eval_dataset`; "auto" takes the first data set found below the data root.

    None, said in a line, when --eval_freq is 0 or nothing was found: then the last model counts as the best.

    Raises:
        FileNotFoundError: the data set named is not there.
        ValueError: the data set is damaged or too small.
    """
    without = "no held-out SVM, no test score at the end; the last model counts as the best"
    if args.eval_freq == 0:
        report(f"--eval_freq 0: {without}")
        return None
    try:
        name = _first_found(args, data_root)
    except FileNotFoundError:
        report(f"warning: no labelled data in {data_root}: {without}")
        return None
    if model != "pointnet" and args.eval_num_points < k:
        raise ValueError(f"--eval_num_points {args.eval_num_points} must be at least --k {k}")
    try:
        monitor = Monitor(
            name,
            data_root,
            device,
            num_points=args.eval_num_points,
            batch_size=args.test_batch_size,
            normalize=args.normalize,
            freq=args.eval_freq,
        )
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(
            f"the labelled data that score the run (--eval_dataset {name}, --eval_num_points {args.eval_num_points}): "
            f"{error}; or pass --eval_freq 0 to train without scores"
        ) from error
    report(monitor.description)
    if monitor.warning:
        report(f"warning: {monitor.warning}")
    return monitor


def score_on_test(
    path: str | Path,
    args: MonitorSettings,
    *,
    data_root: str,
    seed: int,
    device: torch.device,
    report: Callable[[str], None],
    json_file: Path | None = None,
) -> None:
    """Score the weights at `path` on the test split of `--eval_dataset` by all protocols.

    Raises:
        FileNotFoundError: no weights there, or no labelled data set below the data root.
        ValueError: damaged weights or data. Which model and k it is, the weights say.
    """
    flags = {"model_path": str(path), "random_init": False, "model": None, "k": None, "seed": seed}
    flags |= {
        "dataset": _first_found(args, data_root),
        "data_root": data_root,
        "variant": None,
        "normalize": args.normalize,
    }
    flags |= {"num_points": args.eval_num_points, "batch_size": args.test_batch_size, "feature_cache": None}
    options = argparse.Namespace(**flags, protocol="all", c=PUBLISHED_C)
    records = score_encoder(options, load_frozen_encoder(options, device), device, report, report)
    if json_file is not None:
        write_report(json_file, records)


def _first_found(args: MonitorSettings, data_root: str) -> str:
    """The data set of `--eval_dataset`; "auto" is the first whose train split is below the data root."""
    if args.eval_dataset != "auto":
        return args.eval_dataset
    for name, dataset in MONITORED.items():
        try:
            dataset.find(data_root, "train")
        except FileNotFoundError:
            continue
        return name
    raise FileNotFoundError(
        f"no labelled data set in {data_root} (looked for {', '.join(MONITORED)}); pass --data_root, or make the "
        "built-in data: python -m data.make_shapes --out data/shapes"
    )
