"""Score a frozen encoder on a labelled set by all protocols: what `eval_svm` and the end of pre-training share."""

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch

from datasets.labelled.labelled_clouds import LabelledClouds
from utils.evaluation.feature_cache import FeatureCache
from utils.evaluation.frozen_encoder import FrozenEncoder, describe_clouds, load_split, size_warning
from utils.evaluation.json_report import constants_line, make_record, result_line
from utils.evaluation.protocols import PROTOCOLS, run_protocols


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def extract_splits(
    args: argparse.Namespace,
    frozen: FrozenEncoder,
    splits: dict[str, LabelledClouds],
    device: torch.device,
    report: Callable[[str], None] = print,
    warn: Callable[[str], None] = _to_stderr,
) -> tuple[dict[str, np.ndarray], dict]:
    """Features (M, D) of each split, and what is to be recorded about encoder and data; both are reported.

    Args:
        args: flags of `add_dataset_args`, and batch_size, feature_cache.
        report, warn: called with lines for people.
    """
    sizes = {f"num_{name}": len(splits[name]) if name in splits else None for name in ("train", "test")}
    data = {**describe_clouds(args, next(iter(splits.values()))), **sizes}
    report(f"encoder: {frozen.description}")
    report(f"data: {args.dataset}, " + ", ".join(f"{key} {value}" for key, value in data.items() if value is not None))
    size = None if args.normalize else size_warning(next(iter(splits.values())).points)
    for warning in [*frozen.warnings, *([size] if size else [])]:
        warn(f"warning: {warning}")
    cache = FeatureCache.from_flag(args.feature_cache, frozen.constants["checkpoint"], report)
    features = {
        name: cache.extract(frozen.encoder, part.points, batch_size=args.batch_size, device=device, progress=name)
        for name, part in splits.items()
    }
    return features, {**frozen.constants, **data}


def score_encoder(
    args: argparse.Namespace,
    frozen: FrozenEncoder,
    device: torch.device,
    report: Callable[[str], None] = print,
    warn: Callable[[str], None] = _to_stderr,
) -> list[dict]:
    """Run the protocols of `args.protocol` on train and test; report constants and results, return the records.

    Args:
        args: flags of `add_dataset_args`, and protocol, c, seed, batch_size, feature_cache.
        report, warn: called with lines for people.
    """
    splits = {name: load_split(args, name) for name in ("train", "test")}
    features, constants = extract_splits(args, frozen, splits, device, report, warn)
    sets = [item for name, part in splits.items() for item in (features[name], part.labels)]
    protocols = PROTOCOLS if args.protocol == "all" else (args.protocol,)
    scores = run_protocols(*sets, protocols=protocols, c=args.c, seed=args.seed)
    constants |= {"seed": args.seed}
    records = [make_record(score, dataset=args.dataset, split="test", **constants) for score in scores]
    for line in [*map(constants_line, scores), *map(result_line, records)]:
        report(line)
    for score in scores:
        if not score.constants.get("has_converged", True):
            warn(f"warning: the {score.protocol} SVM did not converge; compare with --normalize")
    return records
