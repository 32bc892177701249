"""Labelled sets that encoders and classifiers are scored on: settings, splits, constants of records, a size warning."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.labelled.modelnet40 import ModelNet40
from datasets.labelled.scanobjectnn import VARIANTS, ScanObjectNN
from datasets.precision import far_warning
from utils.settings import Settings, flag

DATASETS = {"modelnet40": ModelNet40, "scanobjectnn": ScanObjectNN}
# A cloud this many times larger than the median one dominates features that know no scale.
_LARGE = 10.0


@dataclass(frozen=True)
class LabelledSetSettings(Settings):
    """Which labelled set is read, and how its clouds are."""

    dataset: str = flag("modelnet40", choices=tuple(DATASETS))
    variant: str | None = flag(None, "of scanobjectnn (default: obj_bg)", choices=VARIANTS)
    data_root: str = flag(
        "data",
        "folder of the set, or its parent (default: the environment variable CROSSPOINT_DATA, else data)",
        is_free=True,
    )
    num_points: int = flag(1024, "the first so many of each cloud, in file order")
    normalize: bool = flag(False, "centre each cloud and scale it to the unit sphere; the published protocol does not")


def load_split(settings: LabelledSetSettings, split: str) -> LabelledClouds:
    """Read the clouds of one split, in file order.

    Raises:
        FileNotFoundError: the set is not there.
        ValueError: it is damaged, or --variant was given for a set that has none.
    """
    options: dict[str, Any] = {"num_points": settings.num_points, "normalize": settings.normalize}
    if settings.dataset == "scanobjectnn":
        options["variant"] = settings.variant or "obj_bg"
    elif settings.variant is not None:
        raise ValueError(f"--variant {settings.variant} belongs to --dataset scanobjectnn, not to {settings.dataset}")
    return DATASETS[settings.dataset](settings.data_root, split, **options)


def describe_clouds(settings: LabelledSetSettings, clouds: LabelledClouds) -> dict[str, Any]:
    """Return what records say of a set (JSON values).

    Args:
        clouds: any split of it.
    """
    return {
        "variant": (settings.variant or "obj_bg") if settings.dataset == "scanobjectnn" else None,
        "num_points": settings.num_points,
        "normalize": settings.normalize,
        "num_classes": len(clouds.class_names),
        "data": str(clouds.shards[0].parent),
    }


def size_warning(points: np.ndarray) -> str | None:
    """Warn of clouds so far or so large that unscaled features reflect little else; return None where there are none.

    Args:
        points: (M, N, 3).
    """
    points = np.asarray(points)
    if text := far_warning(points, "pass --normalize"):
        return text
    radius = np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=2).max(axis=1)
    median, largest = float(np.median(radius)), float(radius.max())
    if largest <= _LARGE * median:
        return None
    return (
        f"clouds differ in size: median radius {median:.3g}, largest {largest:.3g}; the large ones dominate the "
        "features; compare with --normalize"
    )
