"""Search for the data sets below a folder."""

import shlex
from pathlib import Path
from typing import NamedTuple

from data.checking.check_hdf5 import HDF5Set
from datasets.labelled.hdf5_clouds import open_shard, read_class_names
from datasets.labels import MODELNET40_CLASSES, SCANOBJECTNN_CLASSES, SHAPENET_PART
from datasets.layouts import (
    CLOUDS,
    DOWNLOAD,
    MAKE,
    MODELNET40_PUBLISHED,
    RENDERS,
    SCANOBJECTNN_VARIANTS,
    SHAPENET_PART_PUBLISHED,
)
from datasets.pairs.modelnet_views import CLASSES as VIEW_CLASSES
from datasets.parts.part_table import PartTable
from datasets.scenes.scannet_scans import SCAN_FOLDERS
from datasets.shapes.file_listing import is_hidden

LOOKED_FOR = (
    f"{CLOUDS}/<synset>/<id>.ply with {RENDERS}/<synset>/<id>/rendering/*.png",
    f"{VIEW_CLASSES} with <class>/train/<id>.txt (multi-view ModelNet40)",
    "ply_data_*.h5 (ModelNet40 layout, or ShapeNetPart where the files hold pid)",
    "main_split/ or main_split_nobg/ with *_objectdataset*.h5 (ScanObjectNN)",
)

EVALUATE = "python -m scripts.eval_svm --random_init"

_TREES = (CLOUDS, RENDERS, *SCAN_FOLDERS)  # of thousands of folders
_DEPTH = 3  # below the root: the folder of a set, one added by its archive, and one more


def has_shapenet(root: Path) -> bool:
    """Return whether root holds clouds or renders for pre-training."""
    return (root / CLOUDS).is_dir() or (root / RENDERS).is_dir()


class OwnParts(NamedTuple):
    """A file of --parts and the table in it."""

    path: Path
    table: PartTable


def find_hdf5_sets(root: Path, own: OwnParts | None = None) -> tuple[list[HDF5Set], list[str]]:
    """Find every HDF5 set in root or up to three levels below it, in sorted order.

    Args:
        own: categories and parts of the sets with part labels; None takes ShapeNetPart's.
    Returns:
        the sets, and a message for each folder that may not be read, such as the lost+found of a disk.
    """
    sets: list[HDF5Set] = []
    unreadable: list[str] = []
    for folder in _folders(root, _DEPTH, unreadable):
        shards = sorted(folder.glob("ply_data_*.h5"))
        if shards:
            sets.append(_shard_set(folder, shards, own))
        sets += _scan_sets(folder)
    return sets, unreadable


def _folders(folder: Path, depth: int, unreadable: list[str]) -> list[Path]:
    """List a folder and the visible ones below it, except trees of clouds, renders and scans, which hold thousands."""
    if depth == 0:
        return [folder]
    try:
        inner = sorted(folder.iterdir())
    except PermissionError as error:
        unreadable.append(f"{folder}: {error.strerror}, not checked")
        return []
    below = [path for path in inner if path.is_dir() and path.name not in _TREES and not is_hidden(path.name)]
    return [folder] + [found for path in below for found in _folders(path, depth - 1, unreadable)]


def holds_parts(shards: list[Path]) -> bool:
    """Return whether shards are of ShapeNetPart, by the first that opens, else by the name of their folder."""
    for path in shards:
        try:
            with open_shard(path, ()) as file:
                return "pid" in file
        except ValueError:
            continue
    return "part" in shards[0].parent.name


def _shard_set(folder: Path, shards: list[Path], own: OwnParts | None) -> HDF5Set:
    """Group the shards of a set in ShapeNetPart's or ModelNet40's layout by split."""
    has_parts = holds_parts(shards)
    published = SHAPENET_PART_PUBLISHED if has_parts else MODELNET40_PUBLISHED
    found = {split: [path for path in shards if path.name.startswith(f"ply_data_{split}")] for split in published}
    table, remedy = None, f"{DOWNLOAD} {'shapenet_part' if has_parts else 'modelnet40'}, or make these files again"
    if has_parts:
        table, use = SHAPENET_PART, f"{MAKE} (pairs for pre-training; these clouds serve part segmentation)"
        if own:
            table, remedy = own.table, f"make these files again, or correct {own.path}"
            words = ("--data_root", str(folder), "--parts", str(own.path))
            use = f"python train_partseg.py {shlex.join(words)}"
        names = tuple(category.name for category in table)
    else:
        names = read_class_names([folder], MODELNET40_CLASSES)
        use = f"{EVALUATE} --dataset modelnet40 --data_root {shlex.quote(str(folder))}"
    return HDF5Set(
        "ShapeNetPart" if has_parts else "ModelNet40 layout",
        folder,
        {split: paths for split, paths in found.items() if paths},
        published,
        names,
        table,
        remedy=remedy,
        use=use,
        strays=tuple(path for path in shards if not any(path in paths for paths in found.values())),
    )


def _scan_sets(base: Path) -> list[HDF5Set]:
    """Find the variants of ScanObjectNN in base/main_split and base/main_split_nobg."""
    sets = []
    for name, variant in SCANOBJECTNN_VARIANTS.items():
        folder = base / variant.folder
        existing = {
            split: [folder / file for file in files if (folder / file).is_file()][:1]
            for split, files in variant.files.items()
        }
        splits = {split: paths for split, paths in existing.items() if paths}
        if not splits:
            continue
        sets.append(
            HDF5Set(
                f"ScanObjectNN {name}",
                folder,
                splits,
                variant.published,
                read_class_names([folder, base], SCANOBJECTNN_CLASSES),
                table=None,
                remedy=f"{DOWNLOAD} scanobjectnn, or make these files again",
                use=f"{EVALUATE} --dataset scanobjectnn --variant {name} --data_root {shlex.quote(str(base))}",
            )
        )
    return sets
