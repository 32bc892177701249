"""Run train_crosspoint.py briefly on a tiny tree."""

from pathlib import Path

import train_crosspoint
from tests.support.entry_programs import call
from tests.support.tiny_trees import labelled, write_h5, write_shapenet

SHAPES = [f"02/{i:02d}" for i in range(7)]


def write_pairs(folder: Path, shapes: list[str] = SHAPES) -> Path:
    return write_shapenet(folder, shapes, num_points=100, num_views=2, size=40)


def write_pairs_and_classes(folder: Path, shapes: list[str] = SHAPES) -> Path:
    """Write shapes with two views, and a ModelNet40 layout of three classes."""
    shards = write_pairs(folder, shapes) / "modelnet40_ply_hdf5_2048"
    write_h5(shards / "ply_data_train0.h5", **labelled([0, 0, 0, 1, 1, 1, 2, 2, 2], num_points=1024))
    write_h5(shards / "ply_data_test0.h5", **labelled([2, 0, 1], seed=90, num_points=1024))
    return folder


def command(root: Path, out: Path, *extra: str, model: str = "pointnet") -> list[str]:
    """Return flags for two epochs of two steps; later flags win."""
    return [
        *("--model", model, "--epochs", "2", "--lr", "0.001", "--exp_name", "tiny", "--batch_size", "3"),
        *("--print_freq", "1", "--k", "5", "--num_points", "64", "--image_depth", "18", "--image_size", "32"),
        *("--num_workers", "0", "--device", "cpu", "--eval_freq", "0"),
        *("--data_root", str(root), "--output_dir", str(out), *map(str, extra)),
    ]


def train(root: Path, out: Path, *extra: str, **options) -> Path:
    """Run the program; return the run's folder."""
    call(train_crosspoint, *command(root, out, *extra, **options))
    return out / "tiny"
