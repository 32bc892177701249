"""Write a tiny ShapeNetPart tree and run train_partseg.py on it."""

import json
from pathlib import Path

import numpy as np

import train_partseg
from datasets.labels import SHAPENET_PART
from tests.support.entry_programs import call
from tests.support.tiny_trees import labelled, write_h5

NUM_POINTS = 48


def write_part_tree(root: Path, table=SHAPENET_PART, indices=(0, 1, 15)) -> Path:
    """Write eight train, two val and five test clouds of three categories, whose parts are slices along y."""
    a, b, c = indices
    splits = {"train": [a, b, c, a, b, c, a, b], "val": [a, c], "test": [a, b, c, a, a]}
    for number, (split, categories) in enumerate(splits.items()):
        arrays = labelled(categories, seed=50 * number, num_points=NUM_POINTS)
        rank = arrays["data"][..., 1].argsort(axis=1).argsort(axis=1) / NUM_POINTS
        rows = [table[category] for category in categories]
        parts = [row.first_part + np.floor(r * len(row.parts)) for row, r in zip(rows, rank, strict=True)]
        path = root / "shapenet_part_seg_hdf5_data" / f"ply_data_{split}0.h5"
        write_h5(path, **arrays, pid=np.stack(parts).astype(np.uint8))
    return root


def run_partseg(root: Path, out: Path, *extra: str, pictures: int = 0) -> Path:
    """Train two epochs on the tiny tree; return the run's folder."""
    command = (
        *("--exp_name", "tiny", "--batch_size", "4", "--test_batch_size", "2", "--k", "4"),
        *(() if "--steps" in extra else ("--epochs", "2")),
        *("--num_points", "32", "--num_workers", "0", "--device", "cpu", "--print_freq", "1"),
        *("--num_pictures", pictures, "--data_root", root, "--output_dir", out, *extra),
    )
    call(train_partseg, *command)
    return out / "tiny"


def read_records(path: Path) -> dict[str, dict]:
    """Read the records of a results file, or of that of a run folder, by protocol."""
    file = path / "results.json" if path.is_dir() else path
    return {record["protocol"]: record for record in json.loads(file.read_text())["results"]}
