"""Atomic writing of HDF5 files in the layouts of ModelNet40, ScanObjectNN and ShapeNetPart."""

from pathlib import Path

import h5py
import numpy as np

from datasets.labels import SHAPENET_PART
from datasets.layouts import CLASS_NAMES, MODELNET40, SCANOBJECTNN, SCANOBJECTNN_VARIANTS, SHAPENET_PART_FOLDER

CLASSES = tuple(category.name for category in SHAPENET_PART)

_SHARD_ROWS = 2048  # clouds in a published shard of ModelNet40 or ShapeNetPart


def write_modelnet40(
    root: Path, split: str, points: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...] = CLASSES
) -> None:
    """Write shards `ply_data_{split}{i}.h5` and the class names.

    Args:
        root: the data root.
        split: train or test.
        points: (M, N, 3) float32.
        labels: (M,) in [0, number of names).
        class_names: in the order of their labels.
    """
    folder = root / MODELNET40
    arrays = {"data": points.astype(np.float32), "label": labels.astype(np.uint8)[:, None]}
    _write_shards(folder, f"ply_data_{split}", arrays)
    _write_names(folder, class_names)


def write_shapenet_part(
    root: Path, split: str, points: np.ndarray, labels: np.ndarray, part_labels: np.ndarray
) -> None:
    """Write shards `ply_data_{split}{i}.h5` with a global part label, 0..49, for each point: pid (M, N)."""
    arrays = {
        "data": points.astype(np.float32),
        "label": labels.astype(np.uint8)[:, None],
        "pid": part_labels.astype(np.uint8),
    }
    _write_shards(root / SHAPENET_PART_FOLDER, f"ply_data_{split}", arrays)


def write_scanobjectnn(root: Path, split: str, variant: str, points: np.ndarray, labels: np.ndarray) -> None:
    """Write a file under its published name, with the class names beside it.

    Args:
        root: the data root.
        split: train or test.
        variant: obj_bg, obj_only or hardest.
        points: (M, N, 3) float32.
        labels: (M,) in [0, 16).
    """
    layout = SCANOBJECTNN_VARIANTS[variant]
    folder = root / SCANOBJECTNN / layout.folder
    arrays = {"data": points.astype(np.float32), "label": labels.astype(np.int32)}
    _write_file(folder / layout.files[split][0], arrays)
    _write_names(folder, CLASSES)


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


def _write_names(folder: Path, class_names: tuple[str, ...]) -> None:
    (folder / CLASS_NAMES).write_text("\n".join(class_names) + "\n", encoding="utf-8")
