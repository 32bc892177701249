"""What the evaluation programs read: a frozen encoder and a labelled set of clouds, with the flags that name them."""

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.labelled.modelnet40 import ModelNet40
from datasets.labelled.scanobjectnn import VARIANTS, ScanObjectNN
from models.encoders.registry import ENCODERS, build_encoder
from models.weights.published import load_encoder
from utils import seed
from utils.evaluation.feature_cache import add_cache_arg
from utils.flags import add_device_arg, seed_number
from utils.run.provenance import file_sha256

PUBLISHED_K = 15
DATASETS = ("modelnet40", "scanobjectnn")
# A cloud this many times larger than the median one dominates features that know no scale.
_LARGE = 10.0


class FrozenEncoder(NamedTuple):
    """An encoder, what is to be recorded about it (JSON values), a line for people and warnings."""

    encoder: nn.Module
    constants: dict[str, Any]
    description: str
    warnings: list[str]


def add_encoder_args(parser: argparse.ArgumentParser) -> None:
    """Flags that name an encoder, and how it is run."""
    group = parser.add_argument_group("encoder")
    source = group.add_mutually_exclusive_group(required=True)
    source.add_argument("--model_path", help="weights: of a run here (models/best_model.pth, last.pt), or published")
    source.add_argument("--random_init", action="store_true", help="untrained weights: the baseline for any claim")
    group.add_argument("--model", choices=list(ENCODERS), help="default: what the checkpoint holds, else dgcnn")
    group.add_argument(
        "--k", type=int, help=f"neighbours per point (default: what the checkpoint says, else {PUBLISHED_K})"
    )
    group.add_argument("--batch_size", type=int, default=32, help="clouds per forward pass")
    add_device_arg(group)
    group.add_argument("--seed", type=seed_number, default=0, help="of the untrained weights and of every draw")
    add_cache_arg(group)


def add_dataset_args(parser: argparse.ArgumentParser) -> None:
    """Flags that name a labelled set, and how its clouds are read."""
    group = parser.add_argument_group("data")
    group.add_argument("--dataset", choices=DATASETS, default=DATASETS[0])
    group.add_argument("--variant", choices=list(VARIANTS), help="of scanobjectnn (default: obj_bg)")
    group.add_argument(
        "--data_root",
        default=os.environ.get("CROSSPOINT_DATA", "data"),
        help="folder of the set, or its parent (default: the environment variable CROSSPOINT_DATA, else data)",
    )
    group.add_argument("--num_points", type=int, default=1024, help="the first so many of each cloud, in file order")
    group.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="centre each cloud and scale it to the unit sphere; the published protocol does not",
    )


def load_frozen_encoder(args: argparse.Namespace, device: torch.device) -> FrozenEncoder:
    """The encoder of `add_encoder_args`' flags, on `device`.

    Raises:
        FileNotFoundError: no checkpoint there.
        ValueError: damaged, of another model than --model, or k out of range.
    """
    if args.k is not None and args.k < 1:
        raise ValueError(f"--k must be at least 1, got {args.k}")
    if args.random_init:
        seed.everything(args.seed)
        name, k = args.model or "dgcnn", args.k or PUBLISHED_K
        return _frozen(build_encoder(name, k).to(device), name, k, "untrained weights", seed=args.seed)
    loaded = load_encoder(args.model_path, args.model, args.k)
    k = args.k or loaded.stored_k or PUBLISHED_K
    digest = file_sha256(Path(args.model_path))
    origin = f"{args.model_path}, sha256 {digest}, {loaded.report}"
    frozen = _frozen(loaded.encoder.to(device), loaded.name, k, origin, checkpoint=args.model_path, sha256=digest)
    if loaded.name != "pointnet" and loaded.stored_k not in (None, k):
        frozen.warnings.append(f"--k {k}, but {args.model_path} was trained with k {loaded.stored_k}")
    if loaded.report.saw_labels:
        frozen.warnings.append(f"{args.model_path} was fine-tuned with labels: this is no figure of pre-training alone")
    return frozen


def _frozen(
    encoder: nn.Module, name: str, k: int, origin: str, *, seed: int | None = None, checkpoint="", sha256=""
) -> FrozenEncoder:
    graph = None if name == "pointnet" else k  # PointNet looks at no neighbours
    constants = {
        "model": name,
        "k": graph,
        "weights": "checkpoint" if checkpoint else "random",
        "checkpoint": checkpoint or None,
        "checkpoint_sha256": sha256 or None,
        "encoder_seed": seed,
    }
    neighbours = "no graph" if graph is None else f"k {graph}"
    seeded = "" if seed is None else f", seed {seed}"
    return FrozenEncoder(encoder, constants, f"{name}, {neighbours}, {origin}{seeded}", [])


def load_split(args: argparse.Namespace, split: str) -> LabelledClouds:
    """Clouds of one split of `add_dataset_args`' flags, in file order.

    Raises:
        FileNotFoundError: the set is not there.
        ValueError: it is damaged, or --variant was given for a set that has none.
    """
    options = {"num_points": args.num_points, "normalize": args.normalize}
    if args.dataset == "scanobjectnn":
        return ScanObjectNN(args.data_root, split, variant=args.variant or "obj_bg", **options)
    if args.variant is not None:
        raise ValueError(f"--variant {args.variant} belongs to --dataset scanobjectnn, not to {args.dataset}")
    return ModelNet40(args.data_root, split, **options)


def describe_clouds(args: argparse.Namespace, clouds: LabelledClouds) -> dict[str, Any]:
    """What is to be recorded about the set of `add_dataset_args`' flags (JSON values); `clouds` is a split of it."""
    return {
        "variant": (args.variant or "obj_bg") if args.dataset == "scanobjectnn" else None,
        "num_points": args.num_points,
        "normalize": args.normalize,
        "num_classes": len(clouds.class_names),
        "data": str(clouds.shards[0].parent),
    }


def size_warning(points: np.ndarray) -> str | None:
    """A warning when some clouds are so large that unscaled features see little but their size, else None.

    Args:
        points: (M, N, 3).
    """
    points = np.asarray(points)
    radius = np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=2).max(axis=1)
    median, largest = float(np.median(radius)), float(radius.max())
    if largest <= _LARGE * median:
        return None
    return (
        f"clouds differ in size: median radius {median:.3g}, largest {largest:.3g}; the large ones dominate the "
        "features; compare with --normalize"
    )
