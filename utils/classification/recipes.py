"""Recipes of fine-tuning for classification: the constants of the literature under one name."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from utils.training.engine import AMP_DTYPES


@dataclass(frozen=True)
class Recipe:
    """Constants of one recipe, each under the name of the flag that overrides it; `final_lr` is a share of `lr`."""

    epochs: int
    batch_size: int
    use_sgd: bool
    lr: float
    final_lr: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    augment: bool
    dropout: float
    k: int


RECIPES = {
    # CrossPoint-DDP's fine-tuning, which also ran in float16: --amp fp16.
    "published": Recipe(
        epochs=300,
        batch_size=600,
        use_sgd=False,
        lr=0.001,
        final_lr=0.0,
        momentum=0.9,
        weight_decay=1e-6,
        label_smoothing=0.0,
        augment=False,
        dropout=0.5,
        k=20,
    ),
    # Wang et al. 2019, arXiv:1801.07829, as published: from 0.1 to 0.001.
    "dgcnn": Recipe(
        epochs=250,
        batch_size=32,
        use_sgd=True,
        lr=0.1,
        final_lr=0.01,
        momentum=0.9,
        weight_decay=1e-4,
        label_smoothing=0.2,
        augment=True,
        dropout=0.5,
        k=20,
    ),
}

# CrossPoint's fine-tuning for part segmentation: flags of train_partseg.py.
PUBLISHED_PARTS = {
    "epochs": 300,
    "batch_size": 8,
    "use_sgd": True,
    "lr": 0.001,
    "momentum": 0.9,
    "scheduler": "cos",
    "dropout": 0.5,
    "class_choice": "",
    "selected_on": "val",
}


def changes(record: Mapping[str, Any]) -> list[str]:
    """Where a record of a fine-tuning departs from its recipe, in words: figures are alike only if these are too."""
    if record["task"] == "part_segmentation":
        return _changes(record, PUBLISHED_PARTS)
    if record["task"] == "finetune_cls" and record["protocol"] in RECIPES:
        return _classification_changes(record)
    return []


def _classification_changes(record: Mapping[str, Any]) -> list[str]:
    constants = asdict(RECIPES[record["protocol"]])
    del constants["k"]  # a record's own column
    constants["final_lr"] *= record.get("lr", constants["lr"])
    has_length = record.get("epochs", constants["epochs"]) == constants.pop("epochs")
    length = [] if has_length else [f"{record['steps']} steps"]
    usual = {"selected_on": "val", "val_fraction": 0.1, "amp": "none"}
    if record.get("selected_on") == "last":
        del usual["val_fraction"]  # nothing was held out
    return length + _changes(record, constants | usual)


def _changes(record: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    found = {name: record[name] for name, value in usual.items() if record.get(name, value) != value}
    return [f"{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in found.items()]


def add_recipe_args(parser: argparse.ArgumentParser) -> None:
    """The flag --recipe, and one for each of its constants."""
    group = parser.add_argument_group("recipe", "each flag overrides its constant of --recipe")
    group.add_argument("--recipe", choices=list(RECIPES), default="published", help="of CrossPoint-DDP, or of DGCNN")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, help="passes over the labelled clouds")
    length.add_argument("--steps", type=int, default=0, help="length in steps, rounded up, in place of --epochs")
    group.add_argument("--batch_size", type=int, help="clouds per step; never more than there are labelled clouds")
    group.add_argument("--use_sgd", action=argparse.BooleanOptionalAction, help="SGD, else Adam")
    group.add_argument("--lr", type=float, help="rate of the first step; falls along a cosine")
    group.add_argument("--final_lr", type=float, help="rate the cosine falls to (published: 0, dgcnn: --lr / 100)")
    group.add_argument("--momentum", type=float, help="of SGD")
    group.add_argument("--weight_decay", type=float)
    group.add_argument("--label_smoothing", type=float, help="share of the target spread over the other classes")
    group.add_argument(
        "--augment", action=argparse.BooleanOptionalAction, help="scale, shift and reorder the points of each draw"
    )
    group.add_argument("--dropout", type=float, help="in the classifier")
    group.add_argument("--k", type=int, help="neighbours per point in the graphs")
    group.add_argument("--amp", choices=list(AMP_DTYPES), default="none", help="autocast of the training steps")


def apply_recipe(args: argparse.Namespace) -> argparse.Namespace:
    """`args` with every constant its flags left open taken from the recipe."""
    constants = asdict(RECIPES[args.recipe])
    share = constants.pop("final_lr")
    for name, value in constants.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.final_lr is None:
        args.final_lr = share * args.lr
    return args


def check_recipe(args: argparse.Namespace) -> None:
    """Refuse constants that would fail late or mean nothing.

    Raises:
        ValueError: names the flag.
    """
    if args.batch_size < 2:
        raise ValueError(f"--batch_size must be at least 2 for BatchNorm, got {args.batch_size}")
    if not 0 < args.lr < float("inf"):
        raise ValueError(f"--lr must be > 0, got {args.lr}")
    if not 0 <= args.final_lr <= args.lr:
        raise ValueError(f"--final_lr must be from 0 to --lr {args.lr}, got {args.final_lr}")
    for name in ("momentum", "label_smoothing", "dropout"):
        if not 0 <= getattr(args, name) < 1:
            raise ValueError(f"--{name} must be in [0, 1), got {getattr(args, name)}")
    if not 0 <= args.weight_decay < float("inf"):
        raise ValueError(f"--weight_decay must be >= 0, got {args.weight_decay}")
