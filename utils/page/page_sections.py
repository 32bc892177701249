"""Readers of the files of a run folder that the page shows, each of a file that is there: JSON values."""

import base64
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import confusion_matrix

from utils.page.page_arrays import check_range, encode, encode_labels, read_npz, to_int16
from utils.page.room_section import read_room_clouds
from utils.run.epoch_metrics import read_metrics
from utils.run.folder import read_config
from utils.run.names import CONFIG_FILE, METRICS_FILE, PIXEL_POINTS_FILE, RESULTS_FILE, ROOM_CLOUDS_FILE

MAX_POINTS = 64 * 2048  # of all part-segmentation clouds of a run; 16 bytes of page each at most
_PNG = b"\x89PNG\r\n\x1a\n"


def round_figure(value: float) -> float | None:
    """Round to five significant digits; NaN and infinity, which JSON lacks, become None."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def read_origin(run_dir: Path) -> dict[str, Any]:
    """Read command, commits and machines of all sessions of the run; {} without config.json."""
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        return {}
    config = read_config(path)
    sessions = [config, *config.get("sessions", [])]
    joined = {
        name: ", ".join(dict.fromkeys(str(session[name]) for session in sessions if name in session))
        for name in ("commit", "machine", "python", "torch")
    }
    return {"command": config.get("command", ""), **joined, "sessions": len(sessions)}


def read_curves(run_dir: Path) -> dict[str, Any] | None:
    """Read every figure of metrics.jsonl over the epochs: `epoch` (E,), `series` name -> (E,), None where missing."""
    path = run_dir / METRICS_FILE
    if not path.stat().st_size:  # the run is in its first epoch
        return None
    records = read_metrics(run_dir)
    names = dict.fromkeys(name for record in records for name in record if name != "epoch")
    return {
        "epoch": [record["epoch"] for record in records],
        "series": {name: [round_figure(record.get(name, math.nan)) for record in records] for name in names},
    }


def read_tsne(run_dir: Path) -> dict[str, Any]:
    """Read the maps of tsne.npz, that of the random encoder first if there is one."""
    path = run_dir / "tsne.npz"
    layout = {"xy": ("f", "M x2"), "xy_random": ("f", "M x2"), "label": ("iu", "M"), "class_names": ("U", "C")}
    arrays = read_npz(path, layout, optional=("xy_random",))
    check_range(path, "label", arrays["label"], len(arrays["class_names"]))
    if not len(arrays["xy"]) or not np.isfinite(arrays["xy"]).all():
        raise ValueError(f"{path}: xy is empty or not finite; make it again with scripts.plot_tsne")
    maps = {"random": arrays["xy_random"]} if "xy_random" in arrays else {}
    maps["pre-trained"] = arrays["xy"]
    return {
        "maps": {name: encode(xy, "f4") for name, xy in maps.items()},
        "label": encode_labels(arrays["label"]),
        "classes": arrays["class_names"].tolist(),
    }


def read_confusion(run_dir: Path) -> dict[str, Any]:
    """Count the predictions of predictions.npz: (C, C), row true, column predicted."""
    path = run_dir / "predictions.npz"
    arrays = read_npz(path, {"label": ("iu", "M"), "predicted": ("iu", "M"), "class_names": ("U", "C")})
    classes = arrays["class_names"].tolist()
    for name in ("label", "predicted"):
        check_range(path, name, arrays[name], len(classes))
    if not len(arrays["label"]):
        raise ValueError(f"{path} holds no prediction")
    counts = confusion_matrix(arrays["label"], arrays["predicted"], labels=range(len(classes)))
    return {"counts": encode_labels(counts), "classes": classes}


def read_parts(run_dir: Path) -> dict[str, Any]:
    """Read clouds of part_clouds.npz with true and predicted parts, as many of each category as there is room for."""
    path = run_dir / "part_clouds.npz"
    layout = {
        **{"points": ("f", "S N x3"), "label": ("iu", "S N"), "predicted": ("iu", "S N")},
        **{"category": ("U", "S"), "part_names": ("U", "P")},
    }
    arrays = read_npz(path, layout)
    points, category = arrays["points"], arrays["category"]
    for name in ("label", "predicted"):
        check_range(path, name, arrays[name], len(arrays["part_names"]))
    if not points.size or not np.isfinite(points).all():
        raise ValueError(f"{path}: points is empty or not finite")
    chosen = choose_shapes(category, max(1, MAX_POINTS // points.shape[1]))
    return {
        "total": len(points),
        "part_names": arrays["part_names"].tolist(),
        "shapes": [
            {
                "number": int(row),
                "category": str(category[row]),
                "xyz": encode(to_int16(points[row]), "i2"),
                "label": encode_labels(arrays["label"][row]),
                "predicted": encode_labels(arrays["predicted"][row]),
            }
            for row in chosen
        ],
    }


def choose_shapes(category: np.ndarray, room: int) -> list[int]:
    """Choose rows of at most `room` shapes, taking the categories in turns, sorted by category and row.

    Shape: (S,) -> at most (room,)
    """
    turn = np.empty(len(category), np.int64)
    for name in np.unique(category):
        turn[category == name] = np.arange(np.count_nonzero(category == name))
    rows = np.lexsort((np.arange(len(category)), turn))[:room]
    return sorted(rows.tolist(), key=lambda row: (str(category[row]), row))


def read_pixels(run_dir: Path) -> list[dict[str, Any]]:
    """Read the shapes of pixel_points.npz: clouds to turn, and pictures of each view."""
    path = run_dir / PIXEL_POINTS_FILE
    layout = {
        **{"name": ("U", "S"), "points": ("f", "S N x3"), "colours": ("u", "S N x3"), "views": ("u", "S V H W x3")},
        **{"points_seen": ("u", "S V M M x4"), "pixels": ("u", "S V M M x4")},
        **{"found": ("f", "S"), "chance": ("f", "S")},
    }
    arrays = read_npz(path, layout)
    if not all(array.size and (array.dtype.kind != "f" or np.isfinite(array).all()) for array in arrays.values()):
        raise ValueError(f"{path} is empty or not finite; make it again with scripts.plot_pixels")
    for name in ("colours", "views", "points_seen", "pixels"):
        check_range(path, name, arrays[name], 256)
    return [
        {
            "name": str(arrays["name"][row]),
            "xyz": encode(to_int16(arrays["points"][row]), "i2"),
            "rgb": encode(arrays["colours"][row], "u1"),
            "found": round_figure(arrays["found"][row]),
            "chance": round_figure(arrays["chance"][row]),
            "views": [
                [png_url(arrays[name][row, view]) for name in ("views", "points_seen", "pixels")]
                for view in range(arrays["views"].shape[1])
            ],
        }
        for row in range(len(arrays["name"]))
    ]


def png_url(picture: np.ndarray) -> str:
    """Encode a picture (H, W, 3 or 4) as a data URL."""
    with io.BytesIO() as stream:
        Image.fromarray(picture.astype(np.uint8)).save(stream, format="PNG", optimize=True)
        return _url(stream.getvalue())


def _url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def read_sheet(run_dir: Path) -> str:
    """Read retrieval.png as a data URL."""
    path = run_dir / "retrieval.png"
    content = path.read_bytes()
    if not content.startswith(_PNG):
        raise ValueError(f"{path} is no PNG file; make it again with scripts.retrieve")
    return _url(content)


def read_reports(run_dir: Path) -> list[dict[str, Any]]:
    """Read every *.json that has a list `results` of records: its content, and its name as `file`.

    Raises:
        ValueError: a file is not JSON, or its results are not objects with a task.
    """
    reports = []
    for path in sorted(run_dir.glob("*.json"), key=lambda path: (path.name != RESULTS_FILE, path.name)):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); delete it or make it again") from error
        if not isinstance(report, dict) or not isinstance(report.get("results"), list):
            continue
        if not all(isinstance(record, dict) and isinstance(record.get("task"), str) for record in report["results"]):
            raise ValueError(f"{path}: every entry of results must be an object with a task; make it again")
        reports.append({**report, "file": path.name})
    return reports


# Title on the page -> the file it shows and its reader.
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "reports": ('*.json with a list "results"', read_reports),
    "curves": (METRICS_FILE, read_curves),
    "tsne": ("tsne.npz", read_tsne),
    "confusion": ("predictions.npz", read_confusion),
    "parts": ("part_clouds.npz", read_parts),
    "pixels": (PIXEL_POINTS_FILE, read_pixels),
    "rooms": (ROOM_CLOUDS_FILE, read_room_clouds),
    "sheet": ("retrieval.png", read_sheet),
}


def read_run(run_dir: Path) -> dict[str, Any]:
    """Read all that the page shows of a run folder: `origin`, and what READERS find.

    Raises:
        FileNotFoundError: the folder does not exist, or READERS find nothing in it.
        ValueError: a file is damaged; names it.
    """
    if not run_dir.is_dir():
        raise FileNotFoundError(f"no folder {run_dir}; name folders of runs, such as checkpoints/quickstart")
    present = {name: reader for name, (file, reader) in READERS.items() if "*" in file or (run_dir / file).is_file()}
    found = {name: content for name, reader in present.items() if (content := reader(run_dir))}
    if not found:
        looked_for = ", ".join(file for file, _ in READERS.values())
        raise FileNotFoundError(f"nothing to show in {run_dir}: none of {looked_for}")
    return {"origin": read_origin(run_dir), **found}
