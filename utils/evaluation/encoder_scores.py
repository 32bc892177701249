"""Score a frozen encoder on a labelled set by all protocols: what `eval_svm` and the end of pre-training share."""

import argparse
import sys
from collections.abc import Callable

import torch

from utils.evaluation.classification import PROTOCOLS, run_protocols
from utils.evaluation.inputs import FrozenEncoder, describe_clouds, load_split, size_warning
from utils.evaluation.report import constants_line, make_record, result_line
from utils.feature_cache import FeatureCache


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


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
    train, test = load_split(args, "train"), load_split(args, "test")
    data = {"num_train": len(train), "num_test": len(test), **describe_clouds(args, train)}
    report(f"encoder: {frozen.description}")
    report(f"data: {args.dataset}, " + ", ".join(f"{key} {value}" for key, value in data.items() if value is not None))
    size = None if args.normalize else size_warning(train.points)
    for warning in [*frozen.warnings, *([size] if size else [])]:
        warn(f"warning: {warning}")
    cache = FeatureCache.from_flag(args.feature_cache, frozen.constants["checkpoint"], report)
    features = [
        cache.extract(frozen.encoder, part.points, batch_size=args.batch_size, device=device, progress=split)
        for split, part in (("train", train), ("test", test))
    ]
    protocols = PROTOCOLS if args.protocol == "all" else (args.protocol,)
    scores = run_protocols(
        features[0], train.labels, features[1], test.labels, protocols=protocols, c=args.c, seed=args.seed
    )
    constants = {**frozen.constants, **data, "seed": args.seed}
    records = [make_record(score, dataset=args.dataset, split="test", **constants) for score in scores]
    for line in [*map(constants_line, scores), *map(result_line, records)]:
        report(line)
    for score in scores:
        if not score.constants.get("has_converged", True):
            warn(f"warning: the {score.protocol} SVM did not converge; compare with --normalize")
    return records
