"""A small run folder with every file that scripts.report shows, and names that must not break out of a page."""

import base64
import json
from pathlib import Path

import numpy as np

from datasets.scenes.scene import IGNORED, Scene
from utils.files import write_npz
from utils.semseg.room_clouds import RoomClouds

CLASSES = ("cone", "</script><b>cube</b>", "$ball & <!-- co")
ROOM_CLASSES = ["floor", "wall", "ceiling"]
FIGURES = {"accuracy": 0.5, "mean_class_accuracy": 0.25}
ORIGIN = {"commit": "abc1234", "machine": "toaster, 2 cores", "command": "python -m scripts.eval_svm --seed 1"}


def record(**values):
    """One record as scripts.eval_svm writes it; `values` replace or add."""
    return {
        **{"task": "linear_svm", "protocol": "published", "dataset": "modelnet40", "variant": None, "split": "test"},
        **{"model": "dgcnn", "k": 15, "num_points": 1024, "normalize": False, "num_train": 11, "num_test": 7},
        **{"num_classes": 3, "c": 0.1, "seed": 1, "weights": "checkpoint", **FIGURES, **values},
    }


def write_results(folder: Path, *records, name: str = "results.json") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({**ORIGIN, "results": records}))


def write_metrics(folder: Path, *records) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(values) + "\n" for values in records))


def write_predictions(folder: Path, **changed) -> None:
    arrays = {
        "label": np.array([0, 0, 1, 2, 2]),
        "predicted": np.array([0, 1, 1, 2, 0]),
        "class_names": np.array(CLASSES),
    }
    write_npz(folder / "predictions.npz", **arrays | changed)


def write_tsne(folder: Path, **changed) -> None:
    xy = np.random.default_rng(0).normal(size=(13, 2)).astype(np.float32)
    arrays = {"xy": xy, "xy_random": -xy, "label": np.arange(13) % 3, "class_names": np.array(CLASSES)}
    write_npz(folder / "tsne.npz", **{name: array for name, array in (arrays | changed).items() if array is not None})


def write_parts(folder: Path, num_shapes: int = 5, num_points: int = 31, **changed) -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 4, (num_shapes, num_points))
    arrays = {
        "points": rng.normal(size=(num_shapes, num_points, 3)).astype(np.float32),
        "label": label,
        "predicted": np.where(rng.random(label.shape) < 0.2, 0, label),
        "category": np.array(["mug", "cap", "mug", "mug", "cap"] * num_shapes)[:num_shapes],
        "part_names": np.array(["cup", "handle", "peak", "panel"]),
    }
    write_npz(folder / "part_clouds.npz", **arrays | changed)


def write_pixel_points(folder: Path, **changed) -> None:
    rng = np.random.default_rng(2)
    arrays = {
        "name": np.array(["chair/a", "mug/b"]),
        "points": rng.normal(size=(2, 31, 3)).astype(np.float16),
        "colours": rng.integers(0, 256, (2, 31, 3), np.uint8),
        "views": rng.integers(0, 256, (2, 3, 9, 9, 3), np.uint8),
        **{name: rng.integers(0, 256, (2, 3, 4, 4, 4), np.uint8) for name in ("points_seen", "pixels")},
        **{"found": np.array([0.25, 0.5]), "chance": np.array([0.01, 0.02])},
    }
    write_npz(folder / "pixel_points.npz", **arrays | changed)


def write_run(folder: Path) -> Path:
    """Write all files; return the folder."""
    config = {**ORIGIN, "command": "train_crosspoint.py --exp_name tiny", "flags": {}, "python": "3.11", "torch": "2.6"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    epochs = [
        {"epoch": e, "loss/imid": 3.0 - e, "lr": 0.001, "svm/a_val": 0.5 + e / 10, "hours": e / 7} for e in range(3)
    ]
    write_metrics(folder, *epochs)
    write_results(folder, record(weights="random", accuracy=0.125), record())
    write_predictions(folder)
    write_tsne(folder)
    write_parts(folder)
    write_pixel_points(folder)
    write_room_clouds(folder)
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    (folder / "retrieval.png").write_bytes(base64.b64decode(png))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Read every file in a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_room_clouds(folder: Path, num_points: int = 60, most: int = 50) -> Path:
    """Write the first two of three rooms, whose ceilings are all that is above 2 m."""
    clouds, rng = RoomClouds(2, most), np.random.default_rng(0)
    for name in ("Area_1/a", "Area_1/b", "Area_1/a", "Area_1/c"):
        points = rng.uniform(0, 3, (num_points, 3)).astype(np.float32)
        labels = np.where(points[:, 2] > 2, 2, 0).astype(np.uint8)
        labels[:20] = IGNORED
        clouds.add(Scene(name, points, rng.integers(0, 256, (num_points, 3)).astype(np.uint8), labels), labels % 3)
    clouds.write(folder / "room_clouds.npz", ROOM_CLASSES)
    return folder
