"""Classes of the published detection sets, mean sizes of their boxes, and whether the boxes are turned."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes


class DetectionSet(NamedTuple):
    """What a detector has to know of a set.

    `mean_sizes` has a row of three lengths in metres for each class; `num_headings` is the number of bins of the
    heading, 1 where all boxes are aligned with the axes.
    """

    classes: tuple[str, ...]
    mean_sizes: tuple[tuple[float, float, float], ...]
    num_headings: int


def mean_sizes(
    scenes: Iterable[SceneBoxes], num_classes: int, otherwise: Sequence[tuple[float, float, float]] | None = None
) -> tuple[tuple[float, float, float], ...]:
    """Compute the mean size of the training boxes of each class, for a set that is not published.

    Args:
        scenes: the boxes of every training scene.
        otherwise: sizes of the classes, for those without a box; None refuses these.
    Raises:
        ValueError: a class without a box.
    """
    scenes = list(scenes)
    label = np.concatenate([np.zeros(0, np.int64), *(boxes.label for boxes in scenes)])
    size = np.concatenate([np.zeros((0, 3)), *(boxes.size for boxes in scenes)])
    missing = [number for number in range(num_classes) if not (label == number).any()]
    if missing and otherwise is None:
        raise ValueError(
            f"no training box of {len(missing)} of {num_classes} classes (first: {missing[0]}), so that they have no "
            "mean size; leave these classes out, or add scenes that hold them"
        )
    return tuple(
        tuple(otherwise[number]) if number in missing else tuple(map(float, size[label == number].mean(axis=0)))
        for number in range(num_classes)
    )


# Sizes and order of classes: model_util_sunrgbd.py of facebookresearch/votenet.
SUN_RGBD = DetectionSet(
    tuple("bed table sofa chair toilet desk dresser night_stand bookshelf bathtub".split()),
    (
        (2.114256, 1.620300, 0.927272),
        (0.791118, 1.279516, 0.718182),
        (0.923508, 1.867419, 0.845495),
        (0.591958, 0.552978, 0.827272),
        (0.699104, 0.454178, 0.756250),
        (0.695190, 1.346299, 0.736364),
        (0.528526, 1.002642, 1.172878),
        (0.500618, 0.632163, 0.683424),
        (0.404671, 1.071108, 1.688889),
        (0.765840, 1.398258, 0.472728),
    ),
    12,
)
# Order of classes: model_util_scannet.py of facebookresearch/votenet; its sizes, which are in a binary file there, as
# votenet_8xb8_scannet-3d.py of open-mmlab/mmdetection3d spells them.
SCANNET = DetectionSet(
    (
        *"cabinet bed chair sofa table door window bookshelf picture counter desk curtain refrigerator".split(),
        *"showercurtain toilet sink bathtub garbagebin".split(),
    ),
    (
        (0.76966727, 0.8116021, 0.92573744),
        (1.876858, 1.8425595, 1.1931566),
        (0.61328, 0.6148609, 0.7182701),
        (1.3955007, 1.5121545, 0.83443564),
        (0.97949594, 1.0675149, 0.6329687),
        (0.531663, 0.5955577, 1.7500148),
        (0.9624706, 0.72462326, 1.1481868),
        (0.83221924, 1.0490936, 1.6875663),
        (0.21132214, 0.4206159, 0.5372846),
        (1.4440073, 1.8970833, 0.26985747),
        (1.0294262, 1.4040797, 0.87554324),
        (1.3766412, 0.65521795, 1.6813129),
        (0.6650819, 0.71111923, 1.298853),
        (0.41999173, 0.37906948, 1.7513971),
        (0.59359556, 0.5912492, 0.73919016),
        (0.50867593, 0.50656086, 0.30136237),
        (1.1511526, 1.0546296, 0.49706793),
        (0.47535285, 0.49249494, 0.5802117),
    ),
    1,
)
