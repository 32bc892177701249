"""HDF5 files in the layouts of ModelNet40, ScanObjectNN and ShapeNetPart, each file in place at once or not at all."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from datasets.labels import SHAPENET_PART
from datasets.layouts import MODELNET40, SCANOBJECTNN
from datasets.layouts import SHAPENET_PART_FOLDER as SHAPENET_PART_FOLDER

CLASS_NAMES = tuple(category.name for category in SHAPENET_PART)

_SHARD_ROWS = 2048  # clouds a ModelNet40 or ShapeNetPart shard holds, as published
_SCAN_SPLITS = {"train": "training_objectdataset", "test": "test_objectdataset"}
_SCAN_VARIANTS = {
    "obj_bg": ("main_split", ""),
    "obj_only": ("main_split_nobg", ""),
    "hardest": ("main_split", "_augmentedrot_scale75"),
}


def write_modelnet40(root: Path, split: str, points: np.ndarray, labels: np.ndarray) -> None:
    """Shards `ply_data_{split}{i}.h5` and the class names.

    Args:
        root: the data root.
        split: train or test.
        points: (M, N, 3) float32.
        labels: (M,) in [0, 16).
    """
    folder = root / MODELNET40
    arrays = {"data": points.astype(np.float32), "label": labels.astype(np.uint8)[:, None]}
    _write_shards(folder, f"ply_data_{split}", arrays)
    _write_names(folder)


def write_shapenet_part(
    root: Path, split: str, points: np.ndarray, labels: np.ndarray, part_labels: np.ndarray
) -> None:
    """Shards `ply_data_{split}{i}.h5` with a global part label, 0..49, for each point: pid (M, N)."""
    arrays = {
        "data": points.astype(np.float32),
        "label": labels.astype(np.uint8)[:, None],
        "pid": part_labels.astype(np.uint8),
    }
    _write_shards(root / SHAPENET_PART_FOLDER, f"ply_data_{split}", arrays)


def write_scanobjectnn(root: Path, split: str, variant: str, points: np.ndarray, labels: np.ndarray) -> None:
    """One file under its published name, and the class names beside it.

    Args:
        root: the data root.
        split: train or test.
        variant: obj_bg, obj_only or hardest.
        points: (M, N, 3) float32.
        labels: (M,) in [0, 16).
    """
    folder_name, suffix = _SCAN_VARIANTS[variant]
    folder = root / SCANOBJECTNN / folder_name
    arrays = {"data": points.astype(np.float32), "label": labels.astype(np.int32)}
    _write_file(folder / f"{_SCAN_SPLITS[split]}{suffix}.h5", arrays)
    _write_names(folder)


def _write_shards(folder: Path, stem: str, arrays: dict[str, np.ndarray]) -> None:
    for shard, start in enumerate(range(0, len(arrays["data"]), _SHARD_ROWS)):
        rows = {key: array[start : start + _SHARD_ROWS] for key, array in arrays.items()}
        _write_file(folder / f"{stem}{shard}.h5", rows)


def _write_file(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with h5py.File(partial, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array)
    partial.replace(path)


def _write_names(folder: Path, names: Sequence[str] = CLASS_NAMES) -> None:
    (folder / "shape_names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
