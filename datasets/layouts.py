"""Folders, file names and published sizes of each data set.

Sources: the published CrossPoint code for folder names and split sizes; the archives of ModelNet40 (HDF5),
ScanObjectNN and ShapeNetPart (HDF5) for the file names.
"""

from pathlib import Path
from typing import NamedTuple

MAKE = "python -m data.make_shapes --out data/shapes"
DOWNLOAD = "bash data/download_data.sh"

CLOUDS, RENDERS = "ShapeNet", "ShapeNetRendering"
PACKED = "shapenet_render.h5"  # both in one file
CAPTIONS = "captions.json"  # texts of these shapes, by <synset>/<id>
MODELNET40 = "modelnet40_ply_hdf5_2048"
SCANOBJECTNN = "ScanObjectNN"
SHAPENET_PART_FOLDER = "shapenet_part_seg_hdf5_data"
CLASS_NAMES = "shape_names.txt"


class Variant(NamedTuple):
    """A variant of ScanObjectNN: its folder, and for each split the accepted file names and published size."""

    folder: str
    files: dict[str, tuple[str, ...]]
    published: dict[str, int]


# CrossPoint's pack renames the two files of main_split to train.h5 and test.h5.
_PLAIN_FILES = {"train": ("training_objectdataset.h5", "train.h5"), "test": ("test_objectdataset.h5", "test.h5")}
_HARDEST_FILES = {
    "train": ("training_objectdataset_augmentedrot_scale75.h5",),
    "test": ("test_objectdataset_augmentedrot_scale75.h5",),
}
SCANOBJECTNN_VARIANTS: dict[str, Variant] = {
    "obj_bg": Variant("main_split", _PLAIN_FILES, {"train": 2309, "test": 581}),
    "obj_only": Variant("main_split_nobg", _PLAIN_FILES, {"train": 2309, "test": 581}),
    "hardest": Variant("main_split", _HARDEST_FILES, {"train": 11416, "test": 2882}),
}
MODELNET40_PUBLISHED = {"train": 9840, "test": 2468}
SHAPENET_PART_PUBLISHED = {"train": 12137, "val": 1870, "test": 2874}


def fix(archive: str) -> str:
    """Return the two commands that obtain a data set; `archive` is its name in data/download_data.sh."""
    return f"{MAKE}, or: {DOWNLOAD} {archive}"


def modelnet40_folders(root: Path) -> list[Path]:
    """List the folders in which to look for the shards of ModelNet40, or of a set in its layout.

    They are root/modelnet40_ply_hdf5_2048 and root itself; if neither holds a shard, also the one folder of root that
    does.

    Raises:
        ValueError: several folders of root do, so that the caller must choose one.
    """
    folders = [root / MODELNET40, root]
    if any(any(folder.glob("ply_data_*.h5")) for folder in folders):
        return folders
    others = sorted({path.parent for path in root.glob("*/ply_data_*.h5")} - set(shapenet_part_folders(root)))
    if len(others) > 1:
        names = ", ".join(str(folder) for folder in others)
        raise ValueError(f"{root} holds several sets of clouds: {names}; pass one of them as --data_root")
    return folders + others


def scanobjectnn_bases(root: Path) -> list[Path]:
    """List the folders in which to look for main_split/ and main_split_nobg/; the official archive is h5_files/."""
    return [root / SCANOBJECTNN, root / SCANOBJECTNN / "h5_files", root / "h5_files", root]


def shapenet_part_folders(root: Path) -> list[Path]:
    """List the folders in which to look for the shards of ShapeNetPart; the official archive is hdf5_data/."""
    return [root / SHAPENET_PART_FOLDER, root / SHAPENET_PART_FOLDER / "hdf5_data", root / "hdf5_data", root]
