"""The classes of ScanNet's benchmark, S3DIS and SUN RGB-D in the order of their labels.

Sources: ScanNet's evaluate_semantic_label.py for names and NYU40 ids; class_names.txt of PointNet's sem_seg for S3DIS;
VoteNet's model_util_sunrgbd.py for SUN RGB-D.
"""

import numpy as np

from datasets.scenes.scene import IGNORED

# name -> id among the 40 classes of NYU, which the label files hold
SCANNET_NYU40: dict[str, int] = {
    "wall": 1, "floor": 2, "cabinet": 3, "bed": 4, "chair": 5, "sofa": 6, "table": 7, "door": 8, "window": 9,
    "bookshelf": 10, "picture": 11, "counter": 12, "desk": 14, "curtain": 16, "refrigerator": 24,
    "shower curtain": 28, "toilet": 33, "sink": 34, "bathtub": 36, "otherfurniture": 39,
}  # fmt: skip
SCANNET_CLASSES: tuple[str, ...] = tuple(SCANNET_NYU40)
S3DIS_CLASSES: tuple[str, ...] = tuple(
    "ceiling floor wall beam column window door table chair sofa bookcase board clutter".split()
)
SUNRGBD_CLASSES: tuple[str, ...] = tuple(
    "bed table sofa chair toilet desk dresser night_stand bookshelf bathtub".split()
)
SCANNET_UNBOXED = frozenset(SCANNET_CLASSES.index(name) for name in ("wall", "floor"))
S3DIS_UNBOXED = frozenset(S3DIS_CLASSES.index(name) for name in ("ceiling", "floor", "wall"))


def scannet_labels(nyu40: np.ndarray) -> np.ndarray:
    """Turn NYU40 ids into the 20 classes of the benchmark; every other id, also one above 40, becomes IGNORED.

    Shape: (N,) int >= 0 -> (N,) uint8.
    """
    table = np.full(42, IGNORED, dtype=np.uint8)
    table[list(SCANNET_NYU40.values())] = np.arange(len(SCANNET_NYU40))
    return table[np.minimum(nyu40, 41)]
