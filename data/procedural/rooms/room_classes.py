"""What each kind of thing in a room is called in the three data sets; None has no box in SUN RGB-D."""

from typing import NamedTuple

from datasets.scenes.scene_classes import S3DIS_CLASSES, SUNRGBD_CLASSES


class Kind(NamedTuple):
    """`nyu40` is the id in ScanNet's label files and `raw` the name in its aggregation; then the two other sets."""

    nyu40: int
    raw: str
    s3dis: str
    sunrgbd: str | None = None


KINDS: dict[str, Kind] = {
    "wall": Kind(1, "wall", "wall"),
    "floor": Kind(2, "floor", "floor"),
    "ceiling": Kind(22, "ceiling", "ceiling"),
    "door": Kind(8, "door", "door"),
    "window": Kind(9, "window", "window"),
    "curtain": Kind(16, "curtain", "clutter"),
    "picture": Kind(11, "picture", "clutter"),
    "whiteboard": Kind(30, "whiteboard", "board"),
    "table": Kind(7, "table", "table", "table"),
    "desk": Kind(14, "desk", "table", "desk"),
    "chair": Kind(5, "chair", "chair", "chair"),
    "sofa": Kind(6, "couch", "sofa", "sofa"),
    "bed": Kind(4, "bed", "clutter", "bed"),
    "bookshelf": Kind(10, "bookshelf", "bookcase", "bookshelf"),
    "cabinet": Kind(3, "cabinet", "clutter"),
    "dresser": Kind(17, "dresser", "clutter", "dresser"),
    "night_stand": Kind(32, "nightstand", "clutter", "night_stand"),
    "lamp": Kind(35, "lamp", "clutter"),
    "plant": Kind(40, "plant", "clutter"),
    "otherfurniture": Kind(39, "stand", "clutter"),
    "clutter": Kind(40, "object", "clutter"),
}


def s3dis_label(kind: str) -> int:
    return S3DIS_CLASSES.index(KINDS[kind].s3dis)


def sunrgbd_label(kind: str) -> int | None:
    """Return the class of a kind in SUN RGB-D, None for a kind without boxes there."""
    name = KINDS[kind].sunrgbd
    return None if name is None else SUNRGBD_CLASSES.index(name)
