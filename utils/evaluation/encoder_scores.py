"""Scores of a frozen encoder on a labelled set by every protocol, for `eval_svm` and for the end of pre-training."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from datasets.labelled.labelled_clouds import LabelledClouds
from models.layers.whitening import fit_whitening
from utils.evaluation.feature_cache import FeatureCache
from utils.evaluation.frozen_encoder import FeatureSettings, FrozenEncoder, with_layers
from utils.evaluation.json_report import constants_line, make_record, result_line
from utils.evaluation.labelled_set import LabelledSetSettings, describe_clouds, load_split, size_warning
from utils.evaluation.protocols import GROUPS, MULTIVIEW_PROTOCOLS, PROTOCOLS, run_protocols
from utils.evaluation.svm.linear_svm import PUBLISHED_C
from utils.settings import Settings, flag


@dataclass(frozen=True)
class ProtocolSettings(Settings):
    """Which protocols score the features."""

    protocol: str = flag(
        "all",
        f"all: {', '.join(PROTOCOLS)}; multiview: {', '.join(MULTIVIEW_PROTOCOLS)}; or one of them",
        choices=(*GROUPS, *PROTOCOLS, *MULTIVIEW_PROTOCOLS),
    )
    c: float = flag(PUBLISHED_C, "C of the published protocol", above=0)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def extract_splits(
    labelled: LabelledSetSettings,
    features: FeatureSettings,
    frozen: FrozenEncoder,
    splits: dict[str, LabelledClouds],
    device: torch.device,
    report: Callable[[str], None] = print,
    warn: Callable[[str], None] = _to_stderr,
) -> tuple[dict[str, np.ndarray], dict]:
    """Compute the features (M, D) of each split and the constants that records hold of encoder and data; report both.

    Args:
        splits: train, test, or both, of the labelled set.
        report, warn: called with lines for people.
    Raises:
        ValueError: --layers that the encoder does not offer, or features that cannot be whitened.
    """
    encoder = with_layers(frozen.encoder, features.layers)
    sizes = {f"num_{name}": len(splits[name]) if name in splits else None for name in ("train", "test")}
    first = next(iter(splits.values()))
    data = {**describe_clouds(labelled, first), **sizes, **features.unusual}
    report(f"encoder: {frozen.description}")
    known = ", ".join(f"{key} {value}" for key, value in data.items() if value is not None)
    report(f"data: {labelled.dataset}, {known}")
    size = None if labelled.normalize else size_warning(first.points)
    for warning in [*frozen.warnings, *([size] if size else [])]:
        warn(f"warning: {warning}")
    cache = FeatureCache.from_flag(features.feature_cache, frozen.constants["checkpoint"], report)
    options = {"batch_size": features.batch_size, "device": device, "copies": features.copies}
    rows = {name: cache.extract(encoder, part.points, progress=name, **options) for name, part in splits.items()}
    if features.whiten:
        whitening = fit_whitening(rows.get("train", next(iter(rows.values()))), features.whiten)
        rows = {name: whitening(found) for name, found in rows.items()}
    return rows, {**frozen.constants, **data}


def score_encoder(
    labelled: LabelledSetSettings,
    features: FeatureSettings,
    protocols: ProtocolSettings,
    frozen: FrozenEncoder,
    device: torch.device,
    *,
    seed: int,
    report: Callable[[str], None] = print,
    warn: Callable[[str], None] = _to_stderr,
) -> list[dict]:
    """Fit the protocols on train and score them on test; report constants and results, return the records.

    Args:
        seed: of the folds of the protocols that choose a constant.
        report, warn: called with lines for people.
    """
    splits = {name: load_split(labelled, name) for name in ("train", "test")}
    rows, constants = extract_splits(labelled, features, frozen, splits, device, report, warn)
    sets = [item for name, part in splits.items() for item in (rows[name], part.labels)]
    names = GROUPS.get(protocols.protocol, (protocols.protocol,))
    scores = run_protocols(*sets, protocols=names, c=protocols.c, seed=seed)
    constants |= {"seed": seed}
    records = [make_record(score, dataset=labelled.dataset, split="test", **constants) for score in scores]
    for line in [*map(constants_line, scores), *map(result_line, records)]:
        report(line)
    for score in scores:
        if not score.constants.get("has_converged", True):
            warn(f"warning: the {score.protocol} SVM did not converge; compare with --normalize")
    return records
