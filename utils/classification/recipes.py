"""Recipes of fine-tuning for classification: the constants of the literature under one name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from datasets.labelled.training_clouds import AUGMENTATIONS
from models.encoders.registry import ENCODERS, MAX_EMB_DIMS
from utils.settings import flag
from utils.training.engine import AMP_DTYPES
from utils.training.finetuning import FinetuneSettings
from utils.training.optim import STEP_EPOCHS, STEP_WORDS


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Constants of one recipe, each under the name of the flag that overrides it; `final_lr` is a share of `lr`."""

    epochs: int
    batch_size: int
    use_sgd: bool
    lr: float
    final_lr: float
    momentum: float = 0.9
    weight_decay: float
    label_smoothing: float
    augment: bool
    dropout: float = 0.5
    k: int = 20
    scheduler: str = "cos"
    bn_decay: bool = False
    augment_kind: str = "scale_shift"
    transform_weight: float = 0.0


RECIPES = {
    # CrossPoint-DDP's fine-tuning, which also ran in float16: --amp fp16.
    "published": Recipe(
        epochs=300,
        batch_size=600,
        use_sgd=False,
        lr=0.001,
        final_lr=0.0,
        weight_decay=1e-6,
        label_smoothing=0.0,
        augment=False,
    ),
    # Wang et al. 2019, arXiv:1801.07829, as published: from 0.1 to 0.001.
    "dgcnn": Recipe(
        epochs=250,
        batch_size=32,
        use_sgd=True,
        lr=0.1,
        final_lr=0.01,
        weight_decay=1e-4,
        label_smoothing=0.2,
        augment=True,
    ),
    # Fine-tuning of PointNet in the code of selfsup_pcd (Tran et al. 2022, arXiv:2210.15904).
    "pointnet": Recipe(
        epochs=250,
        batch_size=32,
        use_sgd=False,
        lr=0.001,
        final_lr=0.0,
        weight_decay=0.0,
        label_smoothing=0.0,
        augment=True,
        dropout=0.3,
        scheduler="step",
        bn_decay=True,
        augment_kind="rotate_jitter",
        transform_weight=0.001,
    ),
}
CONSTANTS = tuple(field.name for field in fields(Recipe))

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
    "transform_weight": 0.0,
}


@dataclass(frozen=True)
class ClassifierSettings(FinetuneSettings):
    """A recipe with all its constants, and the network they train.

    A program leaves the flags of CONSTANTS open (None), so that `read` takes them from the recipe.
    """

    recipe: str = flag("published", "of CrossPoint-DDP, of DGCNN, or of PointNet", choices=tuple(RECIPES))
    scheduler: str = flag("cos", f"cosine to --final_lr, or {STEP_WORDS}", choices=("cos", "step"))
    final_lr: float = flag(help="rate the cosine falls to, or the steps end at (dgcnn: --lr / 100, others: 0)")
    weight_decay: float = flag(help="of the optimiser", at_least=0)
    label_smoothing: float = flag(help="share of the target spread over the other classes", at_least=0, below=1)
    augment: bool = flag(help="change each draw of a cloud, as --augment_kind says")
    augment_kind: str = flag(
        "scale_shift",
        "scale and shift along each axis and reorder the points, or turn about y and jitter",
        choices=tuple(AUGMENTATIONS),
    )
    bn_decay: bool = flag(False, f"halve the momentum of BatchNorm every {STEP_EPOCHS} epochs, from 0.1 down to 0.01")
    transform_weight: float = flag(0.0, "factor of the penalty of T-Nets, summed over the batch", at_least=0)
    amp: str = flag("none", "autocast of the training steps", choices=tuple(AMP_DTYPES))
    model: str | None = flag(None, "default: what --pretrained_path holds, else dgcnn", choices=tuple(ENCODERS))
    emb_dims: int | None = flag(
        None,
        "width of the encoder's embedding (default: what --pretrained_path has, else the published one)",
        at_least=1,
        at_most=MAX_EMB_DIMS,
    )
    frozen: bool = flag(False, "train the classifier alone, the encoder in eval mode")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.final_lr <= self.lr:
            raise ValueError(f"--final_lr must be from 0 to --lr {self.lr}, got {self.final_lr}")

    @classmethod
    def read(cls, flags: Mapping[str, Any]) -> Self:
        """Read the flags, and take those left open from the recipe; `final_lr` follows `lr`.

        Raises:
            ValueError: a value out of bounds, named by its flag, or both --epochs and --steps.
        """
        if flags["epochs"] is not None and flags["steps"]:
            raise ValueError("--epochs and --steps both say how long to train; pass one")
        constants = asdict(RECIPES[flags["recipe"]])
        share = constants.pop("final_lr")
        values = {**flags, **{name: value for name, value in constants.items() if flags[name] is None}}
        if flags["final_lr"] is None:
            values["final_lr"] = share * values["lr"]
        return super().read(values)


def changes(record: Mapping[str, Any]) -> list[str]:
    """List in words where a fine-tuning departs from its recipe; figures compare only where these agree."""
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
